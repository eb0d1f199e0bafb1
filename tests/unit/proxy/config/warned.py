"""One route beside a plain one, and what is warned about."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.proxy.config.load import check
from headgate.proxy.config.plugin_schema import PluginSchema

CLUSTERS = """\
  a: {endpoints: ["http://10.0.0.1:1", "http://10.0.0.2:1"]}
  b: {endpoints: ["http://10.0.0.3:1", "http://10.0.0.4:1"]}
  c: {endpoints: ["http://10.0.0.5:1", "http://10.0.0.6:1"]}
"""
CHAT = "match: {path: /v1/chat/completions, methods: [POST]}\nkind: inference\n"
POST = "match: {path: /, methods: [POST]}\n"
ANY = "match: {path: /}\n"
NEVER = "`replay: never` forbids to send again what was sent"
KEYED = "`replay: idempotent` forbids to send a POST again that has no Idempotency-Key"
SAFE = "wanted `replay: safe` where twice does no harm"


def warnings_of(
    route: str, *, clusters: str = CLUSTERS, more: str = "", plugins: Mapping[str, PluginSchema] | None = None
) -> list[str]:
    """Check one route beside a plain one that uses every cluster; leave the file's name out of what is said."""
    lines = ["listeners: [{address: 127.0.0.1:8080}]", "clusters:", *clusters.splitlines(), "routes:"]
    lines += [f"{'  - ' if not place else '    '}{line}" for place, line in enumerate(route.splitlines())]
    lines += ["  - {match: {path: /plain}, targets: [a, b, c]}", *more.splitlines()]
    return [str(warning).removeprefix("<text>:") for warning in check("\n".join(lines), plugins or {}, {}).warnings]
