"""Everything one request may read of the configuration, immutable.

A reload builds a whole new snapshot and swaps one reference. An exchange keeps the snapshot it began with; clusters
whose settings did not change, and plugin instances whose configuration did not, are carried over with their state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..ext.route_table import RouteTable, normalize_path
from .config.schema import Config
from .errors import GatewayError
from .exchange.exchange import RouteView
from .exchange.fields import Fields
from .exchange.message import Request
from .exchange.plan import IDEMPOTENT, FallbackRule, HedgeRule, HoldRule, RetryRule
from .plugin_close import close_plugin
from .stages import Chain
from .upstream.cluster import Cluster
from .verdicts import Target

Groups = tuple[tuple[Target, ...], ...]


@dataclass(frozen=True, slots=True)
class FieldEdits:
    """Fields that a route sets on, or removes from, every message."""

    set: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]

    def apply(self, fields: Fields) -> None:
        """Edit `fields`."""
        for name in self.removed:
            fields.remove(name)
        for name, value in self.set:
            fields.set(name, value)


@dataclass(frozen=True, slots=True)
class RouteProgram:
    """A route, compiled: what matching it means for an exchange."""

    view: RouteView
    chains: Mapping[str, Chain]
    reads_model: bool
    scan_limit_bytes: int
    replay: Literal["never", "idempotent", "safe"]
    replay_buffer_bytes: int
    deadline_s: float
    commit: Literal["head", "first_event"]
    retry: RetryRule
    fallback: FallbackRule
    max_attempts: int
    busy_wait_s: float
    hedge: HedgeRule | None
    hold: HoldRule | None
    resume_tries: int
    is_skipping_malformed: bool
    is_websocket_allowed: bool
    request_edits: FieldEdits | None  # None: as they come
    response_edits: FieldEdits | None

    def may_resend(self, method: str, fields: Fields) -> bool:
        """Whether a request may be sent again after bytes of it went out (RFC 9110 §9.2.2)."""
        if self.replay == "idempotent":
            return method in IDEMPOTENT or "idempotency-key" in fields
        return self.replay == "safe"


@dataclass(frozen=True, slots=True)
class Draw:
    """Programs that some exchanges are led by in place of those at the same places, which do the same.

    `gap` draws how many exchanges there are from one of them to the next.
    """

    programs: tuple[RouteProgram, ...]
    gap: Callable[[], int]


class Snapshot:
    """One configuration in force. `num_exchanges` still use it, `num_behind` of them without a client."""

    __slots__ = (
        "_draw",
        "_is_path_free",
        "_num_undrawn",
        "clusters",
        "config",
        "instances",
        "models",
        "num_behind",
        "num_exchanges",
        "programs",
        "table",
        "version",
    )

    def __init__(
        self,
        config: Config,
        version: int,
        programs: tuple[RouteProgram, ...],
        table: RouteTable,
        clusters: Mapping[str, Cluster],
        instances: Mapping[str, Any],
        models: Mapping[str, Groups],
        draw: Draw | None = None,
    ) -> None:
        self.config = config
        self.version = version
        self.programs = programs
        self.table = table
        self.clusters = clusters
        self.instances = instances
        self.models = models
        self.num_exchanges = 0
        self.num_behind = 0
        self._draw = draw
        self._num_undrawn = draw.gap() if draw is not None else -1  # counted down: 0 is drawn, and -1 never gets there
        self._is_path_free = all(route.match.path == "/{*rest}" for route in config.routes)

    @property
    def every_program(self) -> tuple[RouteProgram, ...]:
        """All that `match` may return."""
        return self.programs + self._draw.programs if self._draw is not None else self.programs

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin what clusters do by themselves. Harmless for those that were carried over, which go on."""
        for cluster in self.clusters.values():
            cluster.start(loop)

    def close(self, follower: Snapshot | None = None) -> None:
        """Close its clusters and plugins, but for those that the one after it goes on with."""
        kept = set[int]()
        if follower is not None:
            kept = {id(each) for each in (*follower.clusters.values(), *follower.instances.values())}
        for cluster in self.clusters.values():
            if id(cluster) not in kept:
                cluster.close()
        for name, instance in self.instances.items():
            if id(instance) not in kept:
                close_plugin(name, instance)

    def match(self, request: Request) -> tuple[RouteProgram, Mapping[str, str]]:
        """Return the route of a request and its path parameters. Raises: GatewayError 400, 404 or 405."""
        path = request.path
        if normalize_path(path) is None:
            # Two readings of one path must not lead to two policies; where no route looks at the path there is but one.
            if not self._is_path_free:
                raise GatewayError("bad_request", "the path is ambiguous: empty or dot segments, or encoded separators")
            path = "/"
        found = self.table.match(request.host, path, request.method, request.fields)
        if found is not None:
            self._num_undrawn -= 1
            return self.programs[found.index] if self._num_undrawn else self._drawn(found.index), found.params
        allowed = self.table.allowed_methods(request.host, path)
        if allowed and request.method not in allowed:
            allow = ", ".join(sorted(allowed)).encode()
            raise GatewayError("method_not_allowed", f"allowed: {allow.decode()}", fields=((b"Allow", allow),))
        raise GatewayError("route_not_found", f"no route for {request.method} {request.host} {request.path}")

    def _drawn(self, index: int) -> RouteProgram:
        """Return the program of an exchange that is drawn."""
        if self._draw is None:
            raise RuntimeError("expected no exchange to be drawn")
        self._num_undrawn = self._draw.gap()
        return self._draw.programs[index]

    def check_targets(self, groups: Groups) -> None:
        """Refuse what a route plugin names and the configuration does not. Raises: GatewayError."""
        for group in groups:
            for target in group:
                if target.cluster not in self.clusters:
                    raise GatewayError("stage_failed", f"a route plugin names the unknown cluster {target.cluster!r}")
