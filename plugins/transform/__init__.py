"""Changes paths, queries and fields on their way."""

from .plugin import Transform

__all__ = ["Transform"]
