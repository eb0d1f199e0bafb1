"""The cache plugin: a shared HTTP cache in memory for GET and HEAD (RFC 9111)."""

from .plugin import Cache

__all__ = ["Cache"]
