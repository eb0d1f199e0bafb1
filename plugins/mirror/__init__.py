"""Sends copies of requests to another target, and uses nothing of its answers."""

from .plugin import Mirror

__all__ = ["Mirror"]
