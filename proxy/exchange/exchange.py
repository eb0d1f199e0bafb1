"""One request with its response, and what the stages learnt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ...ext.head_scan import BodyScan
from ..verdicts import Identity, Target
from .message import Request, Response
from .priority import DEFAULT


class Call(Protocol):
    """Asks one target for an aggregate."""

    def __call__(self, target: Target, body: bytes | None = None) -> Awaitable[Response]:
        """Return the answer, whose body is to be read to its end or closed; `body` is sent in place of the client's.

        Raises: GatewayError.
        """


class RouteView:
    """What stages may read of the matched route.

    `options` holds, by plugin name, the checked `RouteOptions` that the route sets. `digest` is another one once any
    setting has changed that shapes what its targets are asked and what is made of their answers.
    """

    __slots__ = ("body_limit_bytes", "digest", "groups", "is_inference", "name", "options")

    def __init__(
        self,
        name: str,
        groups: tuple[tuple[Target, ...], ...],
        options: Mapping[str, Any],
        is_inference: bool,
        body_limit_bytes: int,
        digest: str = "",
    ) -> None:
        self.name = name
        self.digest = digest
        self.groups = groups
        self.options = options
        self.is_inference = is_inference
        self.body_limit_bytes = body_limit_bytes


UNMATCHED = RouteView("", (), {}, False, 0)  # before a route is found


class Exchange:
    """One request with its response.

    Plugins read everything here, and write only `state` (keyed by their own class), `extra` (log fields) and
    `request` in `headgate_request`; an auth plugin also takes its credential out of `request.fields`. `deadline` is an
    instant of the running loop's clock, `now()` reads it; `is_hurried`: the client has set one before the route's own.
    `priority` is what the client asked for, capped by its
    identity. `body_scan` is what the client's body tells, where the route reads it.
    """

    __slots__ = (
        "asked_priority",
        "body_scan",
        "call",
        "deadline",
        "extra",
        "groups",
        "identity",
        "is_fallback_off",
        "is_hurried",
        "model",
        "models",
        "now",
        "params",
        "priority",
        "request",
        "request_id",
        "route",
        "state",
        "trace_id",
        "traceparent",
    )

    def __init__(self, request: Request, request_id: str, now: Callable[[], float]) -> None:
        self.request = request
        self.request_id = request_id
        self.now = now
        self.route: RouteView = UNMATCHED
        self.params: Mapping[str, str] = {}
        self.deadline: float = float("inf")
        self.identity: Identity | None = None
        self.model: str | None = None
        self.body_scan: BodyScan | None = None
        self.models: Mapping[str, tuple[tuple[Target, ...], ...]] = {}
        self.groups: tuple[tuple[Target, ...], ...] = ()
        self.asked_priority = DEFAULT
        self.priority = DEFAULT
        self.is_fallback_off = False
        self.is_hurried = False
        self.state: dict[type, Any] = {}
        self.extra: dict[str, str] = {}
        self.traceparent: str = ""
        self.trace_id: str = ""
        self.call: Call
