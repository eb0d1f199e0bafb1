"""What plugins cost: exchanges led through the stages in memory, with a plugin and without it."""
