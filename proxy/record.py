"""What the core notes while an exchange runs, until the log stage sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ..ext.sse import EventScanner
from .errors import GatewayError
from .exchange.message import Response, Usage
from .upstream.work import Served
from .verdicts import Companions, Outcome, Reject, Reservation, Settlement, Store, StreamUsage

Meter = Callable[[StreamUsage], Reject | None]
Shown = TypeVar("Shown")
Said = TypeVar("Said")

_log = logging.getLogger("headgate.plugins")
# How attempts end of which no service has seen anything.
_UNSENT = frozenset({"connect_failed", "connect_timeout", "tls_failed", "pool_full", "unavailable"})


class Record:
    """Facts of one exchange, and what has to be given back at its end."""

    __slots__ = (
        "_companions",
        "_settles",
        "_store",
        "added_fields",
        "cache_status",
        "completion_tokens",
        "error",
        "first_byte_at",
        "has_called",
        "is_client_gone",
        "is_complete",
        "is_hit",
        "is_streamed",
        "meters",
        "num_events",
        "prompt_tokens",
        "received_bytes",
        "sent_bytes",
        "served",
        "splitter",
        "started_at",
        "status",
        "usages",
    )

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.first_byte_at: float | None = None
        self.status = 0
        self.error: GatewayError | None = None
        self.served = Served()
        self.splitter: EventScanner | None = None  # keeps the events whole of a stream that nobody follows
        self.cache_status: str | None = None
        self.received_bytes = 0
        self.sent_bytes = 0
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.usages: list[Usage] = []  # of the calls of an aggregate
        self.is_client_gone = False
        self.is_complete = False
        self.is_streamed = False
        self.is_hit = False
        self.has_called = False  # an aggregate has asked a target
        self.num_events: int | None = None
        self.added_fields: list[tuple[str, str]] = []
        self.meters: tuple[Meter, ...] = ()
        self._settles: list[Callable[[Settlement], None]] = []
        self._store: Store | None = None
        self._companions: Companions | None = None

    def reserve(self, reservation: Reservation) -> None:
        """Keep a reservation to settle at the end."""
        if reservation.settle is not None:
            self._settles.append(reservation.settle)
        if reservation.meter is not None:
            self.meters += (reservation.meter,)
        self.added_fields.extend(reservation.fields)

    def keep_store(self, store: Store | None, companions: Companions | None = None) -> None:
        """Keep a cache's store to commit or discard at the end, or as soon as its companions can have it."""
        self._store = store
        self._companions = companions

    @property
    def is_inside_event(self) -> bool:
        """Whether the client has half an event, for its size: then another one cannot follow."""
        progress, scanner = self.served.progress, self.splitter
        if progress is not None:  # of a stream of completions no such half is passed on
            scanner = None if progress.is_strict else progress.scanner
        return scanner is not None and scanner.is_inside

    @property
    def is_fed(self) -> bool:
        """Whether a cache is shown the body."""
        return self._store is not None

    def offer(self, response: Response) -> None:
        """Show the cache the head of the answer."""
        store = self._store
        if store is not None and not _agreed(store.begin, response):
            self.drop_store()

    def feed(self, piece: bytes) -> None:
        """Show the cache a piece of the body."""
        store = self._store
        if store is not None and not _agreed(store.write, piece):
            self.drop_store()

    @staticmethod
    def decided(decide: Callable[[Shown], Said], shown: Shown) -> Said | None:
        """Let a cache say what is to be done; its failure means nothing."""
        return _agreed(decide, shown)

    def drop_store(self) -> None:
        """The cache does not want this answer."""
        store, self._store = self._store, None
        if store is not None:
            _guarded(store.discard)

    def note_client_gone(self) -> None:
        """Nothing more reaches the client."""
        self.is_client_gone = True

    def completed(self) -> None:
        """The whole body has come: who wants it too does not wait until this client has read it."""
        companions, self._companions = self._companions, None
        if companions is not None:
            _guarded(companions.completed)
            self._end_store(is_complete=True)

    def release(self) -> None:
        """Settle every reservation and end the store: exactly once, on every way out."""
        if self._store is not None:
            self._end_store(is_complete=self.is_complete)
        if self._settles:
            settles, self._settles = self._settles, []
            settlement = self._settlement()
            for settle in settles:
                _guarded(partial(settle, settlement))

    def _end_store(self, *, is_complete: bool) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        # An answer of a fallback must never be found under the primary's key; one in two parts is nobody's.
        is_patched = self.served.is_fallback or self.served.is_prefilled
        is_good = is_complete and self.error is None and not is_patched
        _guarded(store.commit if is_good else store.discard)

    def add_usages(self) -> None:
        """Add what the calls have cost to what the answer has; once."""
        usages, self.usages = self.usages, []
        for usage in usages:
            self.prompt_tokens = _sum(self.prompt_tokens, usage.prompt_tokens)
            self.completion_tokens = _sum(self.completion_tokens, usage.completion_tokens)

    def _settlement(self) -> Settlement:
        error = self.error.kind.name if self.error else None
        if self.usages:
            self.add_usages()
        ends, progress = self.served.ends.values(), self.served.progress
        return Settlement(
            self.status,
            error,
            self.prompt_tokens,
            self.completion_tokens,
            self.is_client_gone,
            self.is_hit,
            self.has_called or any(how not in _UNSENT for _, how in ends),
            self.num_events if progress is None else progress.state.num_events,
        )

    def outcome(self, now: float, model: str | None, extra: dict[str, str]) -> Outcome:
        """Return everything the log stage may know."""
        if self.usages:
            self.add_usages()
        served, error, started_at, first_byte_at = self.served, self.error, self.started_at, self.first_byte_at
        target, preferred, ends = served.target, served.preferred, served.ends
        return Outcome(  # by place, in the order of its fields: twenty names take longer to pass than to keep
            self.status,
            None if error is None else error.kind.name,
            "" if error is None else error.detail,
            None if target is None else target.name,
            len(ends),
            served.is_fallback,
            self.cache_status,
            self.received_bytes,
            self.sent_bytes,
            now - started_at,
            None if first_byte_at is None else first_byte_at - started_at,
            model,
            self.prompt_tokens,
            self.completion_tokens,
            self.is_client_gone,
            tuple(served.failures),
            self.is_streamed,
            None if preferred is None else preferred.name,
            extra,
            tuple(ends.values()),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _agreed(ask: Callable[[Shown], Said], shown: Shown) -> Said | None:
    """Show a plugin something; its failure means that it wants no more."""
    try:
        return ask(shown)
    except Exception as error:
        _log.error("a cache failed to take an answer: %r", error, exc_info=error)
        return None


def _guarded(call: Callable[[], None]) -> None:
    """Run a plugin's clean-up: its failure must not cost the others theirs."""
    try:
        call()
    except Exception as error:
        _log.error("a plugin failed while an exchange was given back: %r", error, exc_info=error)
