"""The composition root people try first."""
