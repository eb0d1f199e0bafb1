"""The GPU tier."""
