"""Fields of answers: security, and CORS."""

from .plugin import Headers

__all__ = ["Headers"]
