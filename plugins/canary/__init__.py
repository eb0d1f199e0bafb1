"""Sends a share of the callers to other targets."""

from .plugin import Canary

__all__ = ["Canary"]
