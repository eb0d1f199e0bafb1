"""What a plugin may implement: the public contract.

A plugin is a class named by an entry point of the group `headgate.plugins`. It is made once per distinct
configuration, as `Plugin(config)`, where `config` is an instance of its `Config` (a pydantic model; without one the
plugin takes no settings and is made as `Plugin()`). A nested `RouteOptions` model declares what a route may set for it;
the checked instance is found in `exchange.route.options[name]`. Hooks are methods marked with `hookimpl`. On a reload
an instance whose configuration did not change is kept, with its state; a replaced one is given to its successor in
`headgate_configure` and then, once the last exchange that uses it has ended, closed by `close()` if it has one.
A method `operate(action, arguments)`, if it has one, answers `POST /plugins/NAME/ACTION?…` at the admin address.

Stage hooks take one argument, `exchange`, and may be `def` or `async def`. A `def` hook must not block; one of `auth`,
`request`, `cache` or `aggregate` may return an awaitable of its answer where it has to wait.
Order between stages is fixed; within a stage it is the list in the configuration. In every stage None means
"no opinion, ask the next"; the first other answer ends the stage.

pluggy discovers, checks and orders the hooks. It never calls a stage hook: its `firstresult` would take the
first coroutine for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pluggy

from ..ext.limiter_cells import LimiterCells
from ..ext.slots import SlotTable
from .counting import Counting
from .exchange.message import Response
from .verdicts import Hit, Identity, Miss, Outcome, Reject, Reservation, Route

if TYPE_CHECKING:
    from .exchange.exchange import Exchange
    from .observe.metrics import Registry

PROJECT = "headgate"
ENTRY_POINT_GROUP = "headgate.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A configured model: the names it also answers to, and who owns it."""

    aliases: tuple[str, ...] = ()
    owned_by: str = "headgate"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a plugin is told when it is configured.

    `name` is its name in the configuration; `previous` the instance it replaces on a reload, to take state over from;
    `models` are the configured models by name. `counting` is where limits are counted: see `cells` and `slots`.
    """

    name: str
    previous: object | None
    models: Mapping[str, ModelInfo]
    counting: Counting = field(default_factory=Counting)

    def cells(self, max_cells: int, what: str = "") -> LimiterCells:
        """Return a table for `max_cells` callers, which this plugin has in common over all workers.

        `what` says what is counted: whoever says the same of the same plugin has the same table, also after a reload.
        """
        return self.counting.make_cells(f"{self.name}: {what}", max_cells)

    def memory(self, num_bytes: int, what: str = "") -> int:
        """Return the descriptor of memory that this plugin has in common over all workers; the caller closes it.

        It is all zero at first and keeps its size, while any worker, or their parent, lives. `what` is as in `cells`;
        whoever says another size has other memory. Raises: OSError or RuntimeError where there is none.
        """
        return self.counting.make_memory(f"{self.name}: {what}", num_bytes)

    @property
    def slots(self) -> SlotTable:
        """The table of what is under way, which all plugins and workers have in common.

        Let each key begin with `name`. Slots of a worker that dies are given back.
        """
        return self.counting.slots


@dataclass(frozen=True, slots=True)
class StageRule:
    """How the core treats one stage: what may be returned, and what an exception or a time-out means.

    `may_wait`: a `def` hook, too, may return an awaitable of its answer, for the requests that have to wait.
    """

    hook: str
    returns: tuple[type, ...]
    is_fail_closed: bool = False
    error_kind: str = "stage_failed"
    may_wait: bool = False


# The order in which the stages run.
STAGES: dict[str, StageRule] = {
    "auth": StageRule("headgate_auth", (Identity, Response, Reject), True, "stage_failed", may_wait=True),
    "route": StageRule("headgate_route", (Route, Reject)),
    "ratelimit": StageRule("headgate_ratelimit", (Reject, Reservation), True, "stage_unavailable"),
    "request": StageRule("headgate_request", (Reject,), may_wait=True),
    "cache": StageRule("headgate_cache", (Hit, Miss), may_wait=True),
    "aggregate": StageRule("headgate_aggregate", (Response, Reject), may_wait=True),
    "response_head": StageRule("headgate_response_head", ()),
    "event": StageRule("headgate_event", (bytes,)),
    "log": StageRule("headgate_log", ()),
}


class Hookspecs:
    """Every hook, with when it runs and what its answer does."""

    @hookspec
    def headgate_configure(self, setup: Setup) -> None:
        """Take the last step before the snapshot is used.

        Set-up hook, `def` only; an exception refuses the configuration.
        """

    @hookspec
    def headgate_metrics(self, registry: Registry) -> None:
        """Register metrics of the plugin. Set-up hook, `def` only; called once per instance."""

    @hookspec
    def headgate_auth(self, exchange: Exchange) -> Identity | Response | Reject | None:
        """Say who asks, from the request's head. Runs first, before any byte of the body is read.

        A Response answers what needs no identity, as a preflight of CORS. May wait, as `cache` may.
        If every auth plugin of the route is silent the exchange ends with 401. Fails closed: an exception is a 500.
        """

    @hookspec
    def headgate_route(self, exchange: Exchange) -> Route | Reject | None:
        """Choose the targets. Silence keeps the route's own.

        `exchange.model` holds the body's `model` where the route reads it.
        """

    @hookspec
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation | None:
        """Admit or refuse, now that identity and targets are known.

        Every plugin of this stage is asked until one refuses.
        Each Reservation is settled exactly once, on every way out. Fails closed: an exception is a 503.
        """

    @hookspec
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        """Change the request, once per exchange: every attempt sees the result. Every plugin of this stage runs.

        May wait, as for a body that has not come yet: a `def` hook may return an awaitable.
        """

    @hookspec
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | None:
        """Answer from memory, or ask to see the answer. May wait: a `def` hook may return an awaitable. Fails open."""

    @hookspec
    def headgate_aggregate(self, exchange: Exchange) -> Response | Reject | None:
        """Answer in place of dispatch, for example from several targets through `exchange.call(target)`.

        May wait: a `def` hook may return an awaitable. Fails open.
        """

    @hookspec
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Change status or fields of any answer just before it is committed: cached ones and own errors too.

        Every plugin runs.
        """

    @hookspec
    def headgate_event(self, exchange: Exchange, event: bytes) -> bytes | None:
        """Replace one whole server-sent event before it is written; `b""` drops it. `def` only. Every plugin runs."""

    @hookspec
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        """See how the exchange ended. Always called, exactly once; an exception is counted and changes nothing."""
