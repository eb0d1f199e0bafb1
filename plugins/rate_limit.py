"""Rate limits by key, tenant, address, route or model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..ext.limiter_cells import NS_PER_S, Decision, Key, KeyPart, Limit, LimiterCells
from ..proxy.address_limit import address_group
from ..proxy.config.section import Section, Whole
from ..proxy.config.units import Rate, RateValue
from ..proxy.config.wording import FieldError
from ..proxy.exchange.exchange import Exchange, RouteView
from ..proxy.hookspecs import Setup, hookimpl
from ..proxy.verdicts import Reject, Reservation

Part = Literal["key", "tenant", "address", "route", "model"]
_MAX_BURST = 1_000_000
_MAX_POLICIES = 4096
_MAX_ADMISSIONS = 256
_MAX_MODEL_CHARACTERS = 200
_UNKNOWN_MODEL = ""

Burst = Annotated[Whole, Field(ge=1, le=_MAX_BURST)]
Cost = Annotated[Whole, Field(ge=1, le=_MAX_BURST)]


class RateLimitOptions(Section):
    """What a route may set. With a rate or burst of its own, its requests are counted apart from all others."""

    rate: RateValue | None = Field(default=None, description="Units a caller gets on this route, sustained.")
    burst: Burst | None = Field(default=None, description="Units a caller may use on this route at once.")
    cost: Cost | None = Field(default=None, description="Units that one request of this route takes.")

    @model_validator(mode="after")
    def _check(self) -> RateLimitOptions:
        _check_cost(self.cost, self.burst)
        return self


class RateLimitConfig(Section):
    """Settings."""

    rate: RateValue = Field(description="Units a caller gets, sustained.")
    burst: Burst | None = Field(
        default=None, description="Units a caller may use at once; without it the rate's own number."
    )
    by: tuple[Part, ...] = Field(
        default=("key",),
        min_length=1,
        description="What is one caller: requests with all these in common are counted together.",
    )
    cost: Cost = Field(default=1, description="Units that one request takes.")
    max_cells: Annotated[Whole, Field(ge=1, le=10_000_000)] = Field(
        default=100_000,
        description="Callers remembered; while all have units to win back, newcomers are counted together.",
    )

    @model_validator(mode="after")
    def _check(self) -> RateLimitConfig:
        if len(set(self.by)) < len(self.by):
            raise FieldError(("by",), "got a name twice, wanted each at most once")
        _check_cost(self.cost, _burst(self.rate, self.burst))
        return self


class RateLimit:
    """Admit by the generic cell rate algorithm, and tell the client what it has left.

    Several instances (`use: rate_limit` under other names) limit by several things; a request must pass them all.
    """

    Config = RateLimitConfig
    RouteOptions = RateLimitOptions

    def __init__(self, config: RateLimitConfig) -> None:
        self._config = config
        self._cells: LimiterCells
        self._common: _Policy
        self._model_names: Mapping[str, str] = {}
        self._is_by_key = config.by == ("key",)  # most are
        self._policies: dict[str, _Policy] = {}  # by route
        self._name = "rate_limit"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name and the models; a predecessor with the same limit hands its counts on."""
        self._name = setup.name
        self._model_names = {name: model for model, info in setup.models.items() for name in (model, *info.aliases)}
        self._policies = {}
        self._common = _policy_of(setup.name, self._config, "", None)
        if isinstance(setup.previous, RateLimit) and setup.previous._is_alike(self._config):
            self._cells = setup.previous._cells
        else:
            own = self._config
            self._cells = setup.cells(own.max_cells, f"{own.rate} {_burst(own.rate, own.burst)} by {', '.join(own.by)}")

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation:
        """Take the request's cost from its caller's cell."""
        route = exchange.route
        policy = self._policies.get(route.name)
        if policy is None or policy.options is not route.options.get(self._name):
            policy = self._learn(route)
        identity = exchange.identity
        caller = (identity.key_id,) if self._is_by_key and identity is not None else self._caller(exchange)
        decision = self._cells.admit(policy.prefix + caller, policy.limit, policy.cost, int(exchange.now() * NS_PER_S))
        if decision.is_admitted:
            return policy.admission(decision)
        fields = policy.fields(decision)
        if (retry_after_s := decision.retry_after_s) is None:
            return Reject("rate_limited", detail=f"{policy.name}: cost {policy.cost} is above the burst", fields=fields)
        fields = (("Retry-After", str(retry_after_s)), *fields)
        return Reject("rate_limited", detail=f"{policy.name}: by {', '.join(self._config.by)}", fields=fields)

    def _learn(self, route: RouteView) -> _Policy:
        if len(self._policies) >= _MAX_POLICIES:  # reloads brought ever new route names
            self._policies.clear()
        options = route.options.get(self._name)
        policy = _policy_of(self._name, self._config, route.name, options) if options is not None else self._common
        self._policies[route.name] = policy
        return policy

    def _caller(self, exchange: Exchange) -> Key:
        return tuple([self._part(part, exchange) for part in self._config.by])

    def _part(self, part: Part, exchange: Exchange) -> KeyPart:
        if part == "route":
            return exchange.route.name
        if part == "model":
            return self._model(exchange.model)
        if part == "address" or exchange.identity is None:
            return address_group(exchange.request.client)
        return exchange.identity.key_id if part == "key" else exchange.identity.tenant

    def _model(self, name: str | None) -> str:
        """Return the model's own name: an alias is no second helping, and invented names share one cell."""
        if name is None:
            return _UNKNOWN_MODEL
        if self._model_names:
            return self._model_names.get(name, _UNKNOWN_MODEL)
        return name if len(name) <= _MAX_MODEL_CHARACTERS else _UNKNOWN_MODEL

    def _is_alike(self, config: RateLimitConfig) -> bool:
        own = self._config
        return (own.by, own.max_cells, own.rate, _burst(own.rate, own.burst)) == (
            config.by,
            config.max_cells,
            config.rate,
            _burst(config.rate, config.burst),
        )


class _Policy:
    """The limit of one route, and the fields that tell of it. `options` are what the route set."""

    __slots__ = ("_admissions", "_label", "_quota", "cost", "limit", "name", "options", "prefix")

    def __init__(
        self, name: str, options: RateLimitOptions | None, cost: int, limit: Limit, prefix: Key, label: str
    ) -> None:
        self.name = name
        self.options = options
        self.cost = cost
        self.limit = limit
        self.prefix = prefix
        self._label = label
        # q units in w seconds is never more than the rate: w is rounded up.
        self._quota = f"{label};q={limit.burst};w={-(-limit.refill_ns // NS_PER_S)}"
        self._admissions: dict[tuple[int, int], Reservation] = {}

    def admission(self, decision: Decision) -> Reservation:
        """Return what tells a request that it is admitted. Most have the same to tell: it is made once."""
        _, remaining, next_unit_ns, _ = decision
        told = remaining, -(-next_unit_ns // NS_PER_S)
        admission = self._admissions.get(told)
        if admission is None:
            if len(self._admissions) >= _MAX_ADMISSIONS:
                self._admissions.clear()
            admission = self._admissions[told] = Reservation(fields=self.fields(decision))
        return admission

    def fields(self, decision: Decision) -> tuple[tuple[str, str], ...]:
        """Return RateLimit-Policy and RateLimit. Source: draft-ietf-httpapi-ratelimit-headers-10 §3, §4."""
        state = f"{self._label};r={decision.remaining}"
        if decision.next_unit_ns:
            state += f";t={decision.next_unit_s}"
        return ("RateLimit-Policy", self._quota), ("RateLimit", state)


def _policy_of(name: str, config: RateLimitConfig, route: str, options: RateLimitOptions | None) -> _Policy:
    own = options if options is not None else RateLimitOptions()
    rate = own.rate or config.rate
    limit = Limit.of(rate.amount, rate.per_s, own.burst or _burst(rate, config.burst))
    is_apart = own.rate is not None or own.burst is not None
    label = _quoted(f"{name}/{route}" if is_apart else name)
    prefix = (route, limit.interval_ns, limit.burst) if is_apart else ()
    return _Policy(name, options, own.cost or config.cost, limit, prefix, label)


def _burst(rate: Rate, burst: int | None) -> int:
    return burst if burst is not None else min(rate.amount, _MAX_BURST)


def _check_cost(cost: int | None, burst: int | None) -> None:
    if cost is not None and burst is not None and cost > burst:
        raise FieldError(("cost",), f"got {cost}, wanted at most the burst, {burst}: no request would be admitted")


def _quoted(text: str) -> str:
    """Return a structured-field String. Source: RFC 9651 §3.3.3."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
