"""The plugin `quota`: what each key or tenant may take in a day, a month, or ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ...proxy.address_limit import address_group
from ...proxy.exchange.exchange import Exchange
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.observe.metrics import Counter, Gauge, Registry
from ...proxy.verdicts import Reject, Reservation
from .amounts import UNITS, Amounts, Price
from .cells import num_bytes
from .config import ANY_MODEL, QuotaConfig, QuotaOptions
from .estimate import Estimate, estimate
from .ledger import Ask, Decision, Ledger, LedgerFullError, Over, Standing
from .reserved import Growing, Reserved
from .telling import Told, fields_of, retry_after

_NOTHING_TOLD = Estimate()
_DEFAULT = QuotaOptions()


class Quota:
    """Reserve what a request may take, refuse what is more than is left, and settle to what it took.

    Several instances (`use: quota` under other names) have accounts of their own.
    """

    Config = QuotaConfig
    RouteOptions = QuotaOptions

    def __init__(
        self,
        config: QuotaConfig,
        *,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - the calendar is about the wall clock
    ) -> None:
        self._config = config
        self._wall = wall
        self._name = "quota"
        self._ledger: Ledger | None = None
        self._prices: Mapping[str, Price] = {}
        self._told: tuple[Told, ...] = ()
        self._limits = [(limit.by, limit.per, limit.limits) for limit in config.limits]
        self._has_costs = any(limit.max_cost is not None for limit in config.limits)
        is_metering = self._has_costs or any(limit.max_tokens is not None for limit in config.limits)
        self._is_stopping = config.on_exceeded == "stop" and is_metering
        self._reserved = [0] * len(UNITS)
        self._refused = Counter("headgate_quota_refused", "Requests above a quota.", ("plugin", "limit", "unit"))
        self._stopped = Counter("headgate_quota_stopped", "Streams ended at a quota.", ("plugin", "limit", "unit"))
        self._settled = Counter("headgate_quota_used", "What settled requests have used.", ("plugin", "unit"))
        self._excess = Counter("headgate_quota_excess", "What they used beyond what was reserved.", ("plugin", "unit"))

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Open the accounts; a successor has those of the instance it replaces. Raises: ValueError, OSError."""
        self._name = setup.name
        self._told = tuple(Told(setup.name, limit) for limit in self._config.limits)
        self._prices = self._prices_of(setup)
        config, previous = self._config, setup.previous
        memory = previous._memory_for(config) if isinstance(previous, Quota) else None
        if config.file is not None:  # by its path: what lies there is what a restart will find
            self._ledger = Ledger.open(str(config.file), config.max_accounts)
        elif memory is not None:
            self._ledger = Ledger(memory.fileno(), config.max_accounts)
        else:
            self._ledger = _in_memory(setup, config.max_accounts)

    @hookimpl
    def headgate_metrics(self, registry: Registry) -> None:
        """Show what is reserved, used and refused."""
        self._refused = registry.register(self._refused)
        self._stopped = registry.register(self._stopped)
        self._settled = registry.register(self._settled)
        self._excess = registry.register(self._excess)
        reserved = registry.register(
            Gauge("headgate_quota_reserved", "What requests under way have reserved.", ("plugin", "unit"))
        )
        for place, unit in enumerate(UNITS):
            reserved.set(partial(self._reserved.__getitem__, place), self._name, unit)
        accounts = Gauge("headgate_quota_accounts", "Accounts of a quota that have a place.", ("plugin",), max)
        registry.register(accounts).set(lambda: len(self._ledger or ()), self._name)

    def close(self) -> None:
        """Let go of the accounts."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation:
        """Charge the request with the most that it may take, to all accounts that it comes under, or to none."""
        now_s = self._wall()
        told = self._estimate(exchange)
        if told is not _NOTHING_TOLD and told.price is None and self._has_costs:
            return Reject("forbidden", "this model has no price here", f"{self._name}: no price of {exchange.model}")
        amounts = told.amounts
        asks = [Ask(_name_of(exchange, by), per, limits) for by, per, limits in self._limits]
        assert self._ledger is not None
        try:
            decision = self._ledger.reserve(asks, amounts, now_s)
        except LedgerFullError as error:
            most = self._config.max_accounts
            return Reject("stage_unavailable", detail=f"{self._name}: {error}; max_accounts is {most}")
        if decision.over:
            return self._refuse(decision, amounts, now_s)
        self._count_reserved(amounts, 1)
        fields = fields_of(self._told, decision.standings, now_s)
        if not self._is_stopping or not _may_be_stream(exchange, told):
            return Reservation(Reserved(self, self._ledger, decision.standings, told).settle, fields)
        growing = Growing(self, self._ledger, decision.standings, told, (asks, self._wall))
        return Reservation(growing.settle, fields, growing.meter)

    def grown(self, more: Amounts) -> None:
        """Count what a stream has reserved on its way."""
        self._count_reserved(more, 1)

    def stopped(self, standings: Sequence[Standing], over: Over) -> Reject:
        """Count a stream that ends at its limits, and tell of the one that lasts longest."""
        for number, unit in over:
            self._stopped.add(self._name, self._told[number].name, UNITS[unit])
        number, unit = max(over, key=lambda over: self._renewed_s(standings, over[0]))
        told = self._told[number]
        return Reject("quota_exceeded", told.stop(standings[number], unit), f"{self._name}: {told.name}, in a stream")

    def settled(self, reserved: Amounts, taken: Amounts) -> None:
        """Count what a reservation came to."""
        self._count_reserved(reserved, -1)
        for place, unit in enumerate(UNITS):
            if taken[place]:
                self._settled.add(self._name, unit, amount=taken[place])
            if taken[place] > reserved[place]:
                self._excess.add(self._name, unit, amount=taken[place] - reserved[place])

    def _refuse(self, decision: Decision, amounts: Amounts, now_s: float) -> Reject:
        """Tell of the limit that is in the way for longest."""
        for number, unit in decision.over:
            self._refused.add(self._name, self._told[number].name, UNITS[unit])
        number, unit = max(decision.over, key=lambda over: self._renewed_s(decision.standings, over[0]))
        told, standing = self._told[number], decision.standings[number]
        end_s = told.renewed_s(standing)
        is_possible = all(self._told[number].is_possible(unit, amounts) for number, unit in decision.over)
        fields = retry_after(end_s, now_s) if is_possible else ()
        fields += fields_of(self._told, decision.standings, now_s)
        return Reject("quota_exceeded", told.refusal(standing, unit, amounts), f"{self._name}: {told.name}", fields)

    def _renewed_s(self, standings: Sequence[Standing], number: int) -> float:
        end_s = self._told[number].renewed_s(standings[number])
        return float("inf") if end_s is None else end_s

    def _estimate(self, exchange: Exchange) -> Estimate:
        scan, body, config = exchange.body_scan, exchange.request.body, self._config
        if scan is None and (body.is_empty or not exchange.route.is_inference):
            return _NOTHING_TOLD
        options: QuotaOptions = exchange.route.options.get(self._name, _DEFAULT)
        told = estimate(
            scan,
            -(-(len(scan.body) if scan is not None else body.length or 0) // config.bytes_per_token),
            options.default_max_tokens or config.default_max_tokens,
            options.max_tokens_reserved,
            self._prices.get(exchange.model or "") or self._prices.get(ANY_MODEL),
        )
        return told if config.tokens_per_event == 1 else told._replace(event_tokens=config.tokens_per_event)

    def _prices_of(self, setup: Setup) -> dict[str, Price]:
        """Return the prices by every name of the models. Raises: ValueError where one has none but needs one."""
        prices = {name: each.price for name, each in self._config.prices.items()}
        missing = [name for name in setup.models if name not in prices] if ANY_MODEL not in prices else []
        if missing and self._has_costs:
            raise ValueError(f"expected `prices` of all models, or of `*`; got none of {', '.join(sorted(missing))}")
        named = {alias: prices[name] for name, info in setup.models.items() if name in prices for alias in info.aliases}
        return {**named, **prices}

    def _memory_for(self, config: QuotaConfig) -> Ledger | None:
        """The accounts in memory, where a successor with this configuration goes on with them."""
        own = self._config
        return self._ledger if own.file is None and own.max_accounts == config.max_accounts else None

    def _count_reserved(self, amounts: Amounts, times: int) -> None:
        for place, amount in enumerate(amounts):
            self._reserved[place] += amount * times


def _may_be_stream(exchange: Exchange, told: Estimate) -> bool:
    return told.is_stream or (told is not _NOTHING_TOLD and exchange.body_scan is None)


def _in_memory(setup: Setup, max_accounts: int) -> Ledger:
    descriptor = setup.memory(num_bytes(max_accounts), f"accounts {max_accounts}")
    try:
        return Ledger(descriptor, max_accounts)
    finally:
        os.close(descriptor)


def _name_of(exchange: Exchange, by: str) -> bytes:
    """Return whose account it is; without an identity that of the address."""
    identity = exchange.identity
    if identity is None:
        return b"address " + address_group(exchange.request.client)
    name = identity.key_id if by == "key" else identity.tenant
    return f"{by} {name}".encode("utf-8", "surrogatepass")
