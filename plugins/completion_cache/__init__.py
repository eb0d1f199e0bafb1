"""The completion cache: repeatable completions in memory, for whoever asks the same again or at the same time."""

from .plugin import CompletionCache

__all__ = ["CompletionCache"]
