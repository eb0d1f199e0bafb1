"""The end of a plugin instance."""

from __future__ import annotations

import logging

_log = logging.getLogger("headgate.plugins")


def close_plugin(name: str, instance: object) -> None:
    """Call a plugin's `close`, if it has one; its failure is logged."""
    close = getattr(instance, "close", None)
    if close is None:
        return
    try:
        close()
    except Exception as error:
        _log.error("plugin %s failed to close: %r", name, error, exc_info=error)
