"""Pins of plugins: what a distribution holds, and that nothing else of it is run."""
