"""The second level: asked where the first has no answer, told what the first has stored."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from ....proxy.upstream.health.breaker import Admission, Breaker, BreakerSettings, BreakerState
from ..entry import Entry
from ..key import Key, Uri
from ..vary import Selector
from .config import SecondConfig
from .ear import Ear, write_message
from .link import BusyError, Link, LinkError, RefusedError, Word, connector
from .names import Names
from .outbox import Forgotten, Outbox, Parcel
from .scripts import FORGET, KEEP, LOOK, MARK_S
from .value import Seen, Written, is_sound, read_answer, read_names, write_answer, write_names

WRITE_S = 5.0
_LOG_EVERY_S = 60.0
_MAX_DIGITS = 19  # of a time
_BREAKER = BreakerSettings(failures=3, probes_s=(1.0, 2.0, 5.0, 10.0), ramp=())
_log = logging.getLogger("headgate.plugins.cache")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest answer that is kept, as it is written, and how many variants of one."""

    max_entry_bytes: int
    max_variants: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a look brought; an answer, if there is one. Without `seen` nothing was learnt, and nothing is to be kept."""

    seen: Seen | None = None
    entry: Entry | None = None


_NOTHING = Found()


class Second:
    """A Redis that instances share. Whatever is wrong with it, it has no answer, and nobody fails by it.

    `num_users` plugin instances use it: it closes with the last.
    """

    def __init__(
        self,
        config: SecondConfig,
        names: Names,
        bounds: Bounds,
        wall: Callable[[], float],
        told: Callable[[str, str], None],
    ) -> None:
        """`told` is told each operation, `look`, `keep`, `forget` or `hear`, with what came of it."""
        self.bounds = bounds
        self._url = config.url
        self._timeout_s = config.timeout
        self._names = names
        self._wall = wall
        self._told = told
        self._own = secrets.token_hex(8)
        connect = connector(config)
        self._link = Link(connect)
        self._ear = Ear(connect, names.channel, self._own, self._hear)
        self._heard: Callable[[Forgotten], None] | None = None
        self._breaker = Breaker(_BREAKER)
        self._outbox = Outbox(self._keep, self._forget, self._dropped, config.max_queued)
        self._is_out = False
        self._refusal_logged_at = float("-inf")
        self.num_users = 1

    @property
    def queued_bytes(self) -> int:
        """The sizes of the answers that wait to be written."""
        return self._outbox.held_bytes

    def listen(self, heard: Callable[[Forgotten], None]) -> None:
        """Have `heard` called with what other instances forget. To be called in a running loop."""
        if self._heard is None:
            self._ear.begin()
        self._heard = heard

    async def look(self, key: Key, selector: Selector, until: float) -> Found:
        """Return the answer that a request selects, to the instant `until` of the loop's clock at the longest."""
        if self._outbox.is_forgotten(key.uri):
            self._told("look", "invalidated")
            return _NOTHING
        latest = asyncio.get_running_loop().time() + self._timeout_s
        # What a request in a hurry does not wait for says nothing of Redis.
        work = self._guarded("look", lambda: self._looked(key, selector), min(until, latest), is_fair=until >= latest)
        return await work or _NOTHING

    def offer(self, entry: Entry, seen: Seen) -> None:
        """Have an answer kept in the background. `seen` is what a look returned before it was asked for."""
        if entry.size_bytes > self.bounds.max_entry_bytes:
            self._told("keep", "too_large")
        elif not self._outbox.put(Parcel(entry, seen)):
            self._told("keep", "no_room")

    def forget(self, what: Forgotten) -> None:
        """Have a URI forgotten, or everything, in the background and however long it takes."""
        self._outbox.forget(what)

    def inherit(self, other: Second) -> None:
        """Take over what another has yet to have forgotten."""
        for what in other._outbox.forgotten:
            self.forget(what)

    def share(self) -> None:
        """Be used by one more."""
        self.num_users += 1

    def serve(self, bounds: Bounds, told: Callable[[str, str], None]) -> None:
        """From now on `bounds` say what is kept, and `told` is told what happens."""
        self.bounds = bounds
        self._told = told

    def close(self) -> None:
        """End with the last who uses it."""
        self.num_users -= 1
        if not self.num_users:
            self._outbox.close()
            self._link.close()
            self._ear.close()

    def _hear(self, what: Forgotten) -> None:
        self._told("hear", "forgotten")
        if self._heard is not None:
            self._heard(what)

    async def _guarded(
        self, operation: str, work: Callable[[], Awaitable[T]], until: float, *, is_fair: bool = True
    ) -> T | None:
        """Return what `work` does, at the longest to `until`; None where it fails, or is not tried.

        `is_fair`: to take longer is a failure. What works, but slower than a request would wait for, says neither.
        """
        now = asyncio.get_running_loop().time
        latest = now() + self._timeout_s
        if self._breaker.admit(now()) is Admission.OPEN:
            self._told(operation, "paused")
            return None
        ticket, is_judged = self._breaker.ticket, False
        try:
            async with asyncio.timeout_at(until):
                done = await work()
            is_judged = now() <= latest
            if is_judged:
                self._works(ticket)
            return done
        except (TimeoutError, LinkError) as error:
            self._told(operation, "timeout" if isinstance(error, TimeoutError) else "error")
            if is_fair or not isinstance(error, TimeoutError):
                is_judged = True
                self._fails(ticket, error)
        except RefusedError as error:
            is_judged = True
            self._works(ticket)
            self._told(operation, "refused")
            self._log_refusal(operation, error)
        except BusyError:
            self._told(operation, "busy")
        finally:
            if not is_judged:
                self._breaker.abandoned(now(), ticket)
        return None

    def _works(self, ticket: int) -> None:
        self._breaker.succeeded(asyncio.get_running_loop().time(), ticket)
        if self._is_out:
            self._is_out = False
            _log.info("cache: the second level at %s answers again", self._url)

    def _fails(self, ticket: int, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._breaker.failed(now, ticket)
        if self._breaker.state(now) is not BreakerState.CLOSED and not self._is_out:
            self._is_out = True
            words = str(error) or "it does not answer in time"
            _log.error("cache: the second level at %s is out: %s; the first goes on alone", self._url, words)

    def _log_refusal(self, operation: str, error: RefusedError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._refusal_logged_at >= _LOG_EVERY_S:
            self._refusal_logged_at = now
            _log.error("cache: the second level at %s refuses to %s: %s", self._url, operation, error)

    async def _looked(self, key: Key, selector: Selector) -> Found:
        seen, value, left_ms = await self._read(key.uri, self._names.primary(key))
        written = read_answer(value, key, seen)
        if written is None and (names := read_names(value, key, seen)) is not None:
            # What it bears is compared with what was seen first: what has changed in between is not taken.
            _, value, left_ms = await self._read(key.uri, self._names.variant(key, selector.of(names)))
            written = read_answer(value, key, seen)
        if written is not None:
            return Found(seen, self._aged(key, written, left_ms))
        if len(value) > self.bounds.max_entry_bytes:
            self._told("look", "too_large")
        else:
            self._told("look", "miss" if not value or is_sound(value) else "damaged")
        return Found(seen)

    async def _read(self, uri: Uri, name: bytes) -> tuple[Seen, bytes, int]:
        asked = (LOOK, 3, self._names.all, self._names.uri(uri), name, self.bounds.max_entry_bytes, _generation())
        match await self._link.ask("EVAL", *asked):
            case [bytes() as everything, bytes() as own, bytes() as at_s, bytes() as value, int() as left_ms]:
                if at_s.isdigit() and len(at_s) <= _MAX_DIGITS:
                    return Seen(everything, own, int(at_s)), value, left_ms
        raise LinkError("it answers what is no answer to that")

    def _aged(self, key: Key, written: Written, left_ms: int) -> Entry | None:
        """Return what was written, as old as the instances' clocks or that of Redis say: whichever is more."""
        now, here_s = asyncio.get_running_loop().time(), self._wall() - written.written_at
        if here_s < 0 or not 0 <= left_ms <= written.kept_ms:
            self._told("look", "skewed")  # by a clock that is ahead of ours, or a Redis that keeps it for longer
            return None
        entry = written.entry(key, now, max(here_s, (written.kept_ms - left_ms) / 1000))
        is_of_use = entry.kept_until > now
        self._told("look", "hit" if is_of_use else "miss")
        return entry if is_of_use else None

    async def _keep(self, parcel: Parcel) -> None:
        until = asyncio.get_running_loop().time() + WRITE_S
        result = await self._guarded("keep", lambda: self._kept(parcel), until)
        if result is not None:
            self._told("keep", result)

    def _dropped(self) -> None:
        self._told("keep", "dropped")

    async def _kept(self, parcel: Parcel) -> str:
        entry, seen, names = parcel.entry, parcel.seen, self._names
        now = asyncio.get_running_loop().time()
        kept_ms = int((entry.kept_until - now) * 1000)
        if kept_ms <= 0:
            return "stale"
        bears = replace(seen, everything=seen.everything or _generation(), uri=seen.uri or _generation())
        value = write_answer(entry, bears, now, self._wall(), kept_ms)
        if len(value) > self.bounds.max_entry_bytes:
            return "too_large"
        keys: list[Word] = [names.all, names.uri(entry.key.uri), names.primary(entry.key)]
        arguments: list[Word] = [seen.at_s, seen.everything, seen.uri, bears.everything, bears.uri, kept_ms, value]
        if entry.vary:
            keys += [names.variants(entry.key), names.variant(entry.key, entry.vary)]
            arguments += [write_names(entry, bears), self.bounds.max_variants]
        return "kept" if await self._link.ask("EVAL", KEEP, len(keys), *keys, *arguments) else "changed"

    async def _forget(self, what: Forgotten) -> bool:
        until = asyncio.get_running_loop().time() + WRITE_S
        is_done = await self._guarded("forget", lambda: self._forgotten(what), until)
        if is_done:
            self._told("forget", "forgotten")
        return bool(is_done)

    async def _forgotten(self, what: Forgotten) -> bool:
        names, message = self._names, write_message(self._own, what)
        name, kept_s = (names.all, 0) if what is None else (names.uri(what), MARK_S)
        await self._link.ask("EVAL", FORGET, 1, name, _generation(), kept_s, names.channel, message)
        return True


def _generation() -> bytes:
    return secrets.token_hex(16).encode()
