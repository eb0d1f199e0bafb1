"""Compiled parts, each behind a facade with a pure-Python twin."""
