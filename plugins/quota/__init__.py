"""The plugin `quota`: requests, tokens and money for each key or tenant and period."""

from .plugin import Quota

__all__ = ["Quota"]
