"""The error of a plugin that is refused."""

from __future__ import annotations


class PluginError(Exception):
    """A plugin that cannot be used. The message names it and says what is wanted."""
