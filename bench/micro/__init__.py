"""What single parts cost, as multiples of something known that is timed in the same run."""
