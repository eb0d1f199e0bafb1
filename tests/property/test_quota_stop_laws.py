"""Laws of a `quota` that stops streams: no account is above its limit, and nothing is given that is not charged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.ext.head_scan import BodyScan
from headgate.plugins.quota import Quota
from headgate.plugins.quota.amounts import Amounts
from headgate.plugins.quota.ledger import Ledger
from headgate.proxy.hookspecs import Setup
from headgate.proxy.verdicts import Identity, Reject, Reservation, Settlement

from ..unit.plugins.exchanges import make_exchange

START_S = 1_800_000_000.0
PROMPT_TOKENS = 10
MINUTE_TOKENS, TOTAL_TOKENS, TOTAL_COST = 150, 700, 1200
EVENT_TOKENS = 3
SETTINGS = {
    "limits": [
        {"by": "key", "per": "minute", "max_tokens": MINUTE_TOKENS},
        {"by": "tenant", "per": "total", "max_tokens": TOTAL_TOKENS, "max_cost": "0.0012"},
    ],
    "prices": {"*": {"input": "1", "output": "2"}},
    "on_exceeded": "stop",
    "tokens_per_event": EVENT_TOKENS,
    "default_max_tokens": 6,
}
keys = st.sampled_from(["ann", "bob"])


@dataclass
class Usage:
    """What a stream has come to, as the gateway counts it."""

    num_events: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass
class Stream:
    """One that runs. `given` is what its client has: events, and the tokens that the service told with them."""

    reservation: Reservation
    usage: Usage = field(default_factory=Usage)
    given: Usage = field(default_factory=Usage)
    is_stopped: bool = False


def cost_of(prompt: int, completion: int) -> int:
    return prompt + 2 * completion


class Streams(RuleBasedStateMachine):
    """Streams of two keys of one tenant run side by side, in minutes that pass. Services count no more than is counted.

    What ends is settled with more than was given: who reads a stream is ahead of its client.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S
        self.plugin = Quota(Quota.Config.model_validate(SETTINGS), wall=lambda: self.now_s)
        self.plugin.headgate_configure(Setup("quota", None, {}))
        self.streams: list[Stream] = []
        self.settled = Amounts(0, 0, 0)
        self.num_stopped = 0

    def teardown(self) -> None:
        self.plugin.close()

    @rule(step_s=st.sampled_from((-90, 1, 20, 60)))
    def time_passes(self, step_s: int) -> None:
        self.now_s += step_s

    @rule(key=keys, max_tokens=st.integers(0, 20))
    def open(self, key: str, max_tokens: int) -> None:
        exchange = make_exchange(identity=Identity(key, "acme"), model="m")
        scan: dict[str, Any] = {"max_tokens": max_tokens} if max_tokens else {}
        exchange.body_scan = BodyScan(b" " * 4 * PROMPT_TOKENS, "m", (0, 0), is_stream=True, **scan)
        verdict = self.plugin.headgate_ratelimit(exchange)
        if isinstance(verdict, Reservation):
            assert verdict.meter is not None
            self.streams.append(Stream(verdict))
        else:
            assert verdict.kind == "quota_exceeded"

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9), num=st.integers(1, 40), told=st.none() | st.integers(0, EVENT_TOKENS))
    def events_come(self, which: int, num: int, told: int | None) -> None:
        """The service tells its usage with each, where it does."""
        stream = self.streams[which % len(self.streams)]
        meter = stream.reservation.meter
        assert meter is not None
        for _ in range(num):
            usage = stream.usage
            usage.num_events += 1
            if told is not None:
                usage.prompt_tokens = PROMPT_TOKENS
                usage.completion_tokens = max(usage.completion_tokens or 0, told * usage.num_events)
            if stream.is_stopped:
                continue  # read, and not asked about any more
            verdict = meter(usage)
            if verdict is None:
                stream.given = Usage(usage.num_events, usage.prompt_tokens, usage.completion_tokens)
            else:
                assert isinstance(verdict, Reject) and verdict.kind == "quota_exceeded"
                stream.is_stopped = True
                self.num_stopped += 1
                assert self.is_full_for(usage, stream.given)

    def is_full_for(self, usage: Usage, given: Usage) -> bool:
        """Whether an account had too little for what an event has added, all reservations counted."""
        tenant = self.charged(b"tenant acme", "total")
        tokens = self.completion(usage) - self.completion(given)
        minutes = [self.charged(b"key " + key, "minute").tokens for key in (b"ann", b"bob")]
        return (
            tenant.tokens + tokens > TOTAL_TOKENS
            or tenant.cost + 2 * tokens > TOTAL_COST
            or max(minutes) + tokens > MINUTE_TOKENS
        )

    def completion(self, usage: Usage) -> int:
        told = usage.completion_tokens
        return EVENT_TOKENS * usage.num_events if told is None else told

    @precondition(lambda self: self.streams)
    @rule(which=st.integers(0, 9), error=st.sampled_from((None, "client_gone", "truncated", "deadline")))
    def end(self, which: int, error: str | None) -> None:
        stream = self.streams.pop(which % len(self.streams))
        usage, given = stream.usage, stream.given
        error = "quota_exceeded" if stream.is_stopped else error
        told = usage.prompt_tokens, usage.completion_tokens
        assert stream.reservation.settle is not None
        stream.reservation.settle(
            Settlement(200, error, *told, error == "client_gone", is_sent=True, num_events=usage.num_events)
        )
        tokens = self.completion(given)
        taken = Amounts(1, PROMPT_TOKENS + tokens, cost_of(PROMPT_TOKENS, tokens))
        self.settled = Amounts(*map(sum, zip(self.settled, taken, strict=True)))

    def charged(self, name: bytes, per: Any) -> Amounts:
        ledger = self.plugin._ledger
        assert isinstance(ledger, Ledger)
        return ledger.charged(name, per, self.now_s)

    @invariant()
    def nothing_is_above_its_limit(self) -> None:
        tenant = self.charged(b"tenant acme", "total")
        assert tenant.tokens <= TOTAL_TOKENS and tenant.cost <= TOTAL_COST
        for key in (b"ann", b"bob"):
            assert self.charged(b"key " + key, "minute").tokens <= MINUTE_TOKENS

    @invariant()
    def what_was_given_is_charged(self) -> None:
        given = [self.completion(stream.given) for stream in self.streams]
        tenant = self.charged(b"tenant acme", "total")
        running = sum(PROMPT_TOKENS + tokens for tokens in given)
        assert tenant.tokens >= self.settled.tokens + running
        assert tenant.cost >= self.settled.cost + sum(cost_of(PROMPT_TOKENS, tokens) for tokens in given)
        if not self.streams:
            assert (tenant.tokens, tenant.cost) == self.settled[1:]


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
