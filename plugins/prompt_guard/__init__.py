"""Limits on what prompts may hold."""

from ...proxy.plugin_error import MissingExtra

try:
    from .plugin import PromptGuard
except ModuleNotFoundError as error:
    if error.name != "re2":
        raise
    raise MissingExtra("google-re2", "guard", error.name) from error

__all__ = ["PromptGuard"]
