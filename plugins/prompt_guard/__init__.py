"""Limits on what prompts may hold."""

try:
    from .plugin import PromptGuard
except ModuleNotFoundError as error:
    if error.name != "re2":
        raise
    raise ModuleNotFoundError("expected google-re2: pip install 'headgate[guard]'", name=error.name) from error

__all__ = ["PromptGuard"]
