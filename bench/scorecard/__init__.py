"""What a client sees of each fault, in a real run."""
