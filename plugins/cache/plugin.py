"""The plugin: looks answers up, has them stored, invalidates them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...ext.cache_core import Reason
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Gauge, Registry
from ...proxy.verdicts import Hit, Miss
from . import answers, rules
from .asked import has_credential, read_asked
from .config import CacheConfig, CacheRouteOptions
from .entry import Entry
from .evict import meant_by, uri_meant
from .filling import Filling, Wanted, policy_of
from .flight import Flight, Flights, Landing
from .in_force import InForce
from .key import key_of, related_uris, uri_of
from .lookup import Lookup, Search
from .memory import Memory
from .renewal import unset_condition
from .revision import HeadStore, Revision
from .shelf import OpenFillings, Shelf
from .vary import Selector
from .watcher import Watcher

if TYPE_CHECKING:
    from .second.level import Second

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_DEFAULT = CacheRouteOptions()


class Cache:
    """A shared cache (RFC 9111) for GET and HEAD: in memory, and in a Redis behind it where one is configured."""

    Config = CacheConfig
    RouteOptions = CacheRouteOptions

    def __init__(
        self,
        config: CacheConfig,
        *,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - Date and Expires are about the wall clock
    ) -> None:
        self._config = config
        self._name = "cache"
        self._is_shared = config.share == "all"
        self._normalised = frozenset(config.normalise)
        self._targeted = tuple(name.encode() for name in config.targeted)
        self.shelf = Shelf(
            Memory(config.max_bytes, config.max_variants, config.eviction),
            Flights(config.max_followers),
            OpenFillings(),
            wall,
        )
        told = "What the second level was asked and told."
        self._second_total = Counter("headgate_cache_second", told, ("plugin", "operation", "result"))
        self._second: Second | None = None
        self._in_force = InForce()

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the entries of the instance that this one replaces, and its second level where it is the same.

        Both work on the same store for a while: an unsafe request that began under the old settings still invalidates.
        """
        self._name = setup.name
        previous = setup.previous if isinstance(setup.previous, Cache) else None
        if previous is not None:
            self.shelf = previous.shelf
            self._in_force.once(self._bound_shelf)
        if self._config.second is not None:
            from .second.opening import bounds_of, is_serving, open_second  # needs redis-py, as nothing else here does

            own, their = self._config, None if previous is None else previous._config
            known = None if previous is None else previous._second
            self._second = open_second(own, their, known, self.shelf.wall, self._note_second)
            self._in_force.once(partial(self._second.serve, bounds_of(own), self._note_second))
            self.shelf.seconds.append(self._second)
            if is_serving():
                self._second.listen(self.shelf.forget)

    def _bound_shelf(self) -> None:
        config = self._config
        self.shelf.memory.rebound(config.max_bytes, config.max_variants, config.eviction)
        self.shelf.flights.max_followers = config.max_followers

    def close(self) -> None:
        """End with the gateway, or the configuration; the latter may have been refused."""
        self._in_force.close()
        if self._second is not None and self._second in self.shelf.seconds:
            self.shelf.seconds.remove(self._second)
            self._second.close()

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Show how full the cache is."""
        show = registry.register
        used = show(Gauge("headgate_cache_used_bytes", "Bytes of the cache's budget in use.", ("plugin",)))
        used.set(lambda: self.shelf.memory.used_bytes, self._name)
        entries = show(Gauge("headgate_cache_entries", "Answers in the cache.", ("plugin",)))
        entries.set(lambda: len(self.shelf.memory), self._name)
        left = show(Gauge("headgate_cache_evicted_entries", "Answers that have left the cache.", ("plugin", "reason")))
        for reason in Reason:
            left.set(partial(self._num_left, reason), self._name, reason.name.lower())
        second = self._second
        if second is not None:
            self._second_total = show(self._second_total)
            queued = show(Gauge("headgate_cache_second_queued_bytes", "Answers on their way to Redis.", ("plugin",)))
            queued.set(lambda: second.queued_bytes, self._name)

    def _note_second(self, operation: str, result: str) -> None:
        self._second_total.add(self._name, operation, result)

    def operate(self, action: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Answer an operator's call: `evict`. Raises: ValueError. Cost: linear in what is stored."""
        if action != "evict":
            raise ValueError(f"expected the action `evict`, got {action!r}")
        return {"evicted": self.shelf.evict(meant_by(arguments), uri_meant(arguments))}

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | Awaitable[Hit | Miss] | None:
        """Answer from the store, or have the answer stored.

        Waits only for another request that fetches the same, and for the second level.
        """
        request = exchange.request
        if request.method not in _SAFE:
            exchange.state[Cache] = "method"
            return Miss(Watcher(self._invalidate, exchange), "bypass")
        options: CacheRouteOptions = exchange.route.options.get(self._name, _DEFAULT)
        if not options.enabled or request.is_upgrade:
            return None
        if request.method not in ("GET", "HEAD"):
            exchange.state[Cache] = "method"
            return None
        lookup = Lookup(
            exchange,
            read_asked(request.fields),
            options,
            key_of(exchange, is_shared=self._is_shared),
            Selector(request.fields, self._normalised),
        )
        verdict = self._answer(lookup)
        if verdict is not None:
            return verdict
        found = self._fetch(lookup)
        return self._wait(lookup, found) if isinstance(found, Flight | Search) else found

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Say in Cache-Status why the request was forwarded, and whether its answer is stored."""
        lookup: Lookup | str | None = exchange.state.get(Cache)
        if isinstance(lookup, str):
            response.fields.raw.append(answers.forwarded(lookup, ""))
        if not isinstance(lookup, Lookup) or lookup.is_answered:
            return
        if lookup.filling is not None and exchange.request.method == "GET":
            # Judged here, before the core and other plugins add what belongs to this exchange only.
            lookup.filling.begin(response)
        response.fields.raw.append(answers.forwarded(lookup.why, lookup.parameters))

    def _num_left(self, reason: Reason) -> int:
        return self.shelf.memory.num_left(reason)

    def _answer(self, lookup: Lookup) -> Hit | Miss | None:
        """Answer at once where that is possible; otherwise set `lookup.why`."""
        exchange, asked = lookup.exchange, lookup.asked
        lookup.why = "bypass" if asked.is_passed_by or not exchange.request.body.is_empty else self._find(lookup)
        if not lookup.why and lookup.entry is not None:
            return self._hit(lookup, lookup.entry)
        if "only-if-cached" in asked.directives:
            return Hit(answers.not_stored(exchange), "only-if-cached")
        if lookup.why == "bypass":
            exchange.state[Cache] = lookup
            return Miss(None, "bypass")
        if exchange.request.method == "HEAD":
            exchange.state[Cache] = lookup
            return Miss(None if lookup.entry is None else self._head_store(lookup, lookup.entry))
        return None

    def _find(self, lookup: Lookup) -> str:
        """Select an entry; return why it cannot be used ("" where it can)."""
        memory = self.shelf.memory
        lookup.entry = entry = memory.select(lookup.key, lookup.selector)
        if entry is None:
            return "uri-miss" if memory.newest(lookup.key) is None else "vary-miss"
        lookup.age_s = age_s = entry.age_s(lookup.exchange.now())
        if rules.is_usable(age_s, entry.lifetime_s, lookup.asked.directives, entry.staleness):
            return ""
        return "request" if rules.is_fresh(age_s, entry.lifetime_s) else "stale"

    def _hit(self, lookup: Lookup, entry: Entry, behind: Callable[[Exchange], Miss | None] | None = None) -> Hit:
        exchange, age_s = lookup.exchange, lookup.age_s
        self.shelf.memory.touch(entry, exchange.now())
        if lookup.is_collapsed:
            field, status = answers.forwarded("uri-miss", "; collapsed"), "collapsed"
        else:
            field, status = answers.hit(int(entry.lifetime_s - age_s)), "hit"
        return Hit(answers.from_entry(entry, lookup.asked, exchange.request.method, age_s, field), status, behind)

    def _fetch(self, lookup: Lookup) -> Hit | Miss | Flight | Search:
        """Lead, or go alone; return the fetch to follow where another request has begun it.

        A stale answer that may be given meanwhile is, and a newer one fetched behind it. Where there is a second level,
        it is to be asked before the request leads or goes alone.
        """
        flights, now = self.shelf.flights, lookup.exchange.now()
        key = self._flight_key(lookup)
        if lookup.entry is not None and lookup.may_have_stale(lookup.entry):
            behind = None if flights.of(key) is not None else partial(self._renew_behind, lookup, key)
            return self._hit(lookup, lookup.entry, behind)
        if flights.is_marked(key, now):
            return self._miss(lookup, None)
        if lookup.why == "request" or "no-cache" in lookup.asked.directives or not self._config.single_flight:
            return self._miss(lookup, None) if self._second is None else Search(None)
        flight = flights.of(key)
        if flight is None:
            # What answers a condition of this request answers no other.
            leads = None if lookup.asked.is_conditional else key
            return Search(leads) if self._second is not None else self._miss(lookup, self._lead(lookup, leads))
        if not flights.may_follow(flight, self._until(lookup, flight.started_at), now):
            return self._miss(lookup, None)
        return flight

    def _renew_behind(self, lookup: Lookup, key: tuple[object, ...], own: Exchange) -> Miss | None:
        """Have a stale answer fetched anew that was given already, unless somebody does so."""
        flight = self.shelf.flights.lead(key, own.now())
        if flight is None:
            return None
        unset_condition(own.request.fields)  # what answers the client's says nothing of the stored answer
        renewing = replace(lookup, exchange=own, selector=Selector(own.request.fields, self._normalised), filling=None)
        return self._miss(renewing, flight)

    def _lead(self, lookup: Lookup, key: tuple[object, ...] | None) -> Flight | None:
        return None if key is None else self.shelf.flights.lead(key, lookup.exchange.now())

    async def _wait(self, lookup: Lookup, found: Flight | Search) -> Hit | Miss:
        """Wait for another request's fetch, and for the next where nothing came of it; or for the second level."""
        latest = lookup.exchange.now() + self._config.max_wait
        while True:  # to `latest`: every turn waits, for a fetch that another request began
            if isinstance(found, Search):
                flight = None if found.key is None else self.shelf.flights.of(found.key)
                if flight is None:
                    return await self._search(lookup, self._lead(lookup, found.key))
                found = flight  # somebody was faster
            until = min(latest, self._until(lookup, found.started_at))
            if await self.shelf.flights.follow(found, until) is Landing.ALONE:
                return self._miss(lookup, None)
            lookup.is_collapsed = True
            verdict = self._answer(lookup)
            if isinstance(verdict, Hit):
                return verdict
            next_found = self._fetch(lookup)
            if isinstance(next_found, Hit | Miss):
                return next_found
            found = next_found

    async def _search(self, lookup: Lookup, flight: Flight | None) -> Hit | Miss:
        """Look in the second level, for all who follow; go on to the target where it has nothing of use."""
        filling, second = self._filling(lookup, flight), self._second
        assert second is not None
        is_over = False
        try:
            found = await second.look(lookup.key, lookup.selector, _half_way(lookup.exchange))
            is_over = True
        finally:
            if not is_over:
                filling.discard()
        if filling.is_over:  # the URI has changed meanwhile: what was found may be of before
            return self._miss(lookup, None)
        if found.seen is not None:
            filling.keep_too = partial(second.offer, seen=found.seen)
        if found.entry is not None:
            filling.find(found.entry)
            lookup.is_collapsed = False
        verdict = self._answer(lookup)
        if not isinstance(verdict, Hit):
            return self._forward(lookup, filling)
        filling.settle()
        return answers.from_second(verdict) if lookup.entry is found.entry else verdict

    def _flight_key(self, lookup: Lookup) -> tuple[object, ...]:
        """Return what requests for the same answer share, as far as that is known before the answer."""
        newest = self.shelf.memory.newest(lookup.key)
        return (lookup.key, lookup.selector.of(name for name, _ in newest.vary) if newest is not None else ())

    def _until(self, lookup: Lookup, began_at: float) -> float:
        """Return how long to wait: the other half of the request's time is for its own fetch."""
        return min(began_at + self._config.max_wait, _half_way(lookup.exchange))

    def _miss(self, lookup: Lookup, flight: Flight | None) -> Miss:
        return self._forward(lookup, self._filling(lookup, flight))

    def _forward(self, lookup: Lookup, filling: Filling) -> Miss:
        exchange, entry = lookup.exchange, lookup.entry
        lookup.filling = filling
        exchange.state[Cache] = lookup
        return Miss(filling) if entry is None else Miss(filling, revise=Revision(self.shelf, lookup, entry, filling))

    def _head_store(self, lookup: Lookup, entry: Entry) -> HeadStore:
        return HeadStore(self.shelf, entry, self._filling(lookup, None))

    def _filling(self, lookup: Lookup, flight: Flight | None) -> Filling:
        exchange, config = lookup.exchange, self._config
        policy = policy_of(
            config.max_entry_bytes,
            config.heuristic,
            lookup.options.default_ttl,
            self._is_permission_needed(exchange),
            config.keep_stale,
            self._targeted,
        )
        wanted = Wanted(lookup.key, lookup.selector, exchange.now(), exchange.now, policy, lookup.asked.is_conditional)
        return Filling(self.shelf, wanted, flight)

    def _is_permission_needed(self, exchange: Exchange) -> bool:
        """Whether the request counts as authorised and its answer could reach others (RFC 9111 §3.5)."""
        if has_credential(exchange.request.fields):
            return True
        return exchange.identity is not None and self._is_shared

    def _invalidate(self, exchange: Exchange, response: Response) -> None:
        """Forget what an unsafe request has changed. Source: RFC 9111 §4.4."""
        if self.shelf.is_empty or not 200 <= response.status < 400:
            return
        uri = uri_of(exchange.request)
        self.shelf.invalidate(uri)
        for related in related_uris(uri, response.fields):
            self.shelf.invalidate(related)


def _half_way(exchange: Exchange) -> float:
    now = exchange.now()
    return now + (exchange.deadline - now) / 2
