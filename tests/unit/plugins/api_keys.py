"""Keys, entries and plugins for the tests of `api_key`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headgate.plugins.api_key import ApiKey, digest
from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.hookspecs import Setup
from headgate.proxy.verdicts import Settlement

PEPPER = "a pepper of the tests"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENDED = Settlement(status=200, error=None, prompt_tokens=None, completion_tokens=None, is_client_gone=False)


def entry(*keys: str, **more: Any) -> dict[str, Any]:
    """Return the entry of one key with the digests of `keys`, as a file would hold it."""
    digests = [{"digest": digest(key, PEPPER)} for key in keys]
    return {"id": "acme-1", "tenant": "acme", "digests": digests, **more}


def make_plugin(
    *inline: dict[str, Any],
    keys_file: Path | None = None,
    now: Callable[[], datetime] = lambda: NOON,
    poll_s: float = 1.0,
    **settings: Any,
) -> ApiKey:
    """Return the plugin with these keys, configured."""
    config = ApiKey.Config.model_validate(
        {"pepper": SecretRef("env:PEPPER", PEPPER), "inline": inline, "keys_file": keys_file, **settings}
    )
    plugin = ApiKey(config, now, poll_s)
    plugin.headgate_configure(Setup("api_key", None, {}))
    return plugin
