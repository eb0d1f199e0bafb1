"""The plugin: answers from what is stored, shares what is being fetched, has the rest stored."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import partial

from ...ext.cache_core import Reason
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Gauge, Registry
from ...proxy.verdicts import Hit, Miss
from ..cache import answers
from ..cache.directives import Directives, parse_directives
from ..cache.in_force import InForce
from .asked import PassedByError, read_asked
from .config import CompletionCacheConfig, CompletionCacheRouteOptions
from .entry import Content, Entry, Pair
from .evict import meant_by
from .filling import Filling, Keeping, Shelf
from .flight import Flight, Flights, Landing
from .instead import Instead
from .lookup import Fetch, Lookup
from .memory import Memory
from .reading_along import ReadingAlong
from .replay import converted, in_form

_MAX_TURNS = 2  # fetches of others that one request waits for
_ANY_SIZE = 1 << 62


class CompletionCache:
    """Completions in memory: a policy of the gateway, for requests whose answer is the same each time."""

    Config = CompletionCacheConfig
    RouteOptions = CompletionCacheRouteOptions

    def __init__(self, config: CompletionCacheConfig) -> None:
        self._config = config
        self._name = "completion_cache"
        self.shelf = Shelf(Memory(config.max_bytes, config.eviction), Flights())
        self._in_force = InForce()

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the entries of the instance that this one replaces, unless they are kept in another order."""
        self._name = setup.name
        previous = setup.previous
        if isinstance(previous, CompletionCache) and previous.shelf.memory.eviction == self._config.eviction:
            self.shelf = previous.shelf
            self._in_force.once(partial(self.shelf.memory.resize, self._config.max_bytes))

    def close(self) -> None:
        """End with the gateway, or the configuration; the latter may have been refused."""
        self._in_force.close()

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Show how full the cache is."""
        show, prefix = registry.register, "headgate_completion_cache"
        used = show(Gauge(f"{prefix}_used_bytes", "Bytes of the completion cache's budget in use.", ("plugin",)))
        used.set(lambda: self.shelf.memory.used_bytes, self._name)
        entries = show(Gauge(f"{prefix}_entries", "Answers in the completion cache.", ("plugin",)))
        entries.set(lambda: len(self.shelf.memory), self._name)
        flights = show(Gauge(f"{prefix}_flights", "Fetches that others may follow.", ("plugin", "client")))
        flights.set(lambda: len(self.shelf.flights) - self.shelf.flights.num_left, self._name, "here")
        flights.set(lambda: self.shelf.flights.num_left, self._name, "gone")
        followers = show(Gauge(f"{prefix}_followers", "Requests that follow one of these fetches.", ("plugin",)))
        followers.set(lambda: self.shelf.flights.num_followers, self._name)
        told = "Answers that have left the completion cache."
        left = show(Gauge(f"{prefix}_evicted_entries", told, ("plugin", "reason")))
        for reason in Reason:
            left.set(partial(self._num_left, reason), self._name, reason.name.lower())

    def operate(self, action: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Answer an operator's call: `evict`. Raises: ValueError. Cost: linear in what is stored."""
        if action != "evict":
            raise ValueError(f"expected the action `evict`, got {action!r}")
        return {"evicted": self.shelf.memory.evict(meant_by(arguments))}

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | Awaitable[Hit | Miss] | None:
        """Answer from the store or along with another request, or have the answer stored."""
        options: CompletionCacheRouteOptions | None = exchange.route.options.get(self._name)
        request = exchange.request
        if options is None or not options.enabled or request.method != "POST" or request.is_upgrade:
            return None
        directives = parse_directives(request.fields.get_all("cache-control"))
        if "no-store" in directives or self._is_too_large(exchange):
            return self._pass_by(exchange, "" if "no-store" in directives else "too-large")
        data = request.body.arrived(_ANY_SIZE)
        if data is None:
            return self._read(exchange, options, directives)
        return self._decide(exchange, options, directives, data)

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Say in Cache-Status why the request was forwarded, and whether its answer is stored."""
        fetch: Fetch | None = exchange.state.get(CompletionCache)
        if fetch is not None and not fetch.is_answered:
            response.fields.raw.append(answers.forwarded(fetch.why, fetch.parameters))

    # -- what is asked for

    def _num_left(self, reason: Reason) -> int:
        return self.shelf.memory.num_left(reason)

    def _is_too_large(self, exchange: Exchange) -> bool:
        length = exchange.request.body.length
        if length is None:  # it comes in chunks, and nobody has read it
            return exchange.body_scan is None
        return length > self._config.max_request

    def _pass_by(self, exchange: Exchange, detail: str) -> Miss:
        exchange.state[CompletionCache] = Fetch("bypass", detail=detail)
        return Miss(None, "bypass")

    async def _read(
        self, exchange: Exchange, options: CompletionCacheRouteOptions, directives: Directives
    ) -> Hit | Miss:
        data = await exchange.request.body.read(_ANY_SIZE)
        verdict = self._decide(exchange, options, directives, data)
        return await verdict if isinstance(verdict, Awaitable) else verdict

    def _decide(
        self, exchange: Exchange, options: CompletionCacheRouteOptions, directives: Directives, data: bytes
    ) -> Hit | Miss | Awaitable[Hit | Miss]:
        if len(data) > self._config.max_request:
            return self._pass_by(exchange, "too-large")
        try:
            asked = read_asked(exchange, data, options, is_shared=self._config.share == "all")
        except PassedByError as error:
            return self._pass_by(exchange, str(error))
        lookup = Lookup(exchange, options, directives, asked)
        hit = None if lookup.is_renewing else self._find(lookup)
        if hit is not None:
            return hit
        if "only-if-cached" in directives:
            return Hit(answers.not_stored(exchange), "only-if-cached")
        flight = self._flight_for(lookup)
        return self._miss(lookup) if flight is None else self._follow(lookup, flight)

    # -- what is stored

    def _find(self, lookup: Lookup) -> Hit | None:
        """Answer from what is stored and fresh; note what is not, for a failure."""
        asked, now = lookup.asked, lookup.exchange.now()
        for is_other in (False, True):
            entry = self.shelf.memory.get(asked.key, now, is_stream=asked.form.is_stream is not is_other)
            if entry is None:
                continue
            if entry.expires_at <= now:
                lookup.stale = lookup.stale or entry
                continue
            content = self._converted(entry, now) if is_other else entry.content
            found = None if content is None else in_form(content, asked.form)
            hit = _hit(found, "hit", answers.hit(int(entry.expires_at - now)))
            if hit is not None:
                return hit
        return None

    def _converted(self, entry: Entry, now: float) -> Content | None:
        """Return what is stored in the other form, and keep it so, too: it is converted once."""
        content = converted(entry.content)
        if content is not None:
            self.shelf.memory.put(replace(entry, content=content), now, is_renewing=False)
        return content

    # -- what is being fetched

    def _flight_for(self, lookup: Lookup) -> Flight | None:
        """Return the fetch that a request may follow."""
        # What is being fetched may come to be a fallback's.
        if not self._config.single_flight or lookup.is_renewing or lookup.exchange.is_fallback_off:
            return None
        flight = self.shelf.flights.of(lookup.asked.key)
        return None if flight is None or self._is_full(flight) else flight

    def _is_full(self, flight: Flight) -> bool:
        return flight.num_followers >= self._config.max_followers

    async def _follow(self, lookup: Lookup, flight: Flight) -> Hit | Miss:
        """Share another request's fetch; where nothing came of it look again, and then go alone."""
        for _ in range(_MAX_TURNS):
            hit = await self._along(lookup, flight)
            if hit is not None:
                return hit
            if flight.landing is not Landing.FAILED and flight.landing is not Landing.WHOLE:
                break
            hit = self._find(lookup)
            found = self._flight_for(lookup)
            if hit is not None or found is None:
                return hit or self._miss(lookup)
            flight = found
        return self._miss(lookup)

    async def _along(self, lookup: Lookup, flight: Flight) -> Hit | None:
        """Return what a flight brings, to be read while it comes or when it has landed; None where nothing is."""
        asked, until = lookup.asked, self._until(lookup.exchange, flight)
        field = answers.forwarded("uri-miss", "; collapsed")
        is_alike = asked.form.is_stream and asked.options == flight.shape
        if self._is_full(flight):  # by now: others may have come to wait at the same time
            return None
        flight.join()
        is_kept = False
        try:
            while flight.landing is None and not flight.is_closed:
                if is_alike and flight.is_readable and flight.fields is not None:
                    is_kept = True
                    body = ReadingAlong(flight, lookup.exchange.deadline)
                    fields = Fields([*flight.fields, field])
                    return Hit(Response(200, fields, body, is_whole_events=flight.is_whole_events), "collapsed")
                if not await flight.changed(until):
                    return None
            content = flight.content
            found = None if content is None else in_form(content, asked.form)
            return _hit(found, "collapsed", field)
        finally:
            if not is_kept:
                flight.leave()

    def _until(self, exchange: Exchange, flight: Flight) -> float:
        """Return how long to wait: the other half of the request's time is for its own fetch."""
        now = exchange.now()
        return min(flight.started_at + self._config.max_wait, now + (exchange.deadline - now) / 2)

    # -- what is to be fetched

    def _miss(self, lookup: Lookup) -> Miss:
        exchange, asked, options, config = lookup.exchange, lookup.asked, lookup.options, self._config
        flight = Flight(
            asked.key, asked.options if asked.form.is_stream else b"", config.max_entry_bytes, exchange.now()
        )
        is_leading = config.single_flight and not exchange.is_hurried  # others have more time than its client gives
        if is_leading:
            self.shelf.flights.lead(flight)
        keeping = Keeping(options.ttl, options.stale_if_error, lookup.is_renewing)
        filling = Filling(self.shelf, flight, keeping, exchange.now)
        fetch = exchange.state[CompletionCache] = Fetch(lookup.why, filling)
        exchange.request.fields.set("accept-encoding", "identity")  # what is stored is for every client
        stale = None if lookup.stale is None else in_form(lookup.stale.content, asked.form)
        revise = None
        if lookup.stale is not None and stale is not None:
            revise = Instead(partial(_instead, fetch, filling, lookup.stale.content, stale))
        return Miss(filling, revise=revise, companions=filling if is_leading else None)


def _hit(found: tuple[bytes, bytes] | None, status: str, field: Pair) -> Hit | None:
    if found is None:
        return None
    media_type, body = found
    return Hit(Response(200, Fields([(b"Content-Type", media_type), field]), body, len(body)), status)


def _instead(
    fetch: Fetch, filling: Filling, content: Content, found: tuple[bytes, bytes], parameters: str
) -> Hit | None:
    """Give an older answer, to who follows, too; `parameters` tell what failed."""
    fetch.is_answered = True
    filling.give_instead(content)
    return _hit(found, "stale", answers.forwarded("stale", f"{parameters}; detail=stale-if-error"))
