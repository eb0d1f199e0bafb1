"""A stream that may be stopped: what it reserves on its way, where it ends, and what it is charged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from headgate.ext.head_scan import BodyScan
from headgate.plugins.quota import Quota
from headgate.plugins.quota.amounts import Amounts
from headgate.plugins.quota.reserved import AHEAD_TOKENS
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.hookspecs import Setup
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.verdicts import Identity, Reject, Reservation, Settlement

from ..exchanges import make_exchange

ANN, BOB = Identity("ann", "acme"), Identity("bob", "acme")
NOON_S = 1_800_014_400.0  # 2027-01-15T12:00:00Z
DAY_S = 86_400.0
PROMPT = 10  # tokens of what `asking` sends
DAY = {"by": "key", "per": "day"}
TENANT = {"by": "tenant", "per": "total"}
Make = Callable[..., Quota]


class Clock:
    now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Usage:
    num_events: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Make]:
    made: list[Quota] = []

    def make(*limits: dict[str, Any], **more: Any) -> Quota:
        settings = {"limits": limits, "on_exceeded": "stop", "default_max_tokens": 5, **more}
        plugin = Quota(Quota.Config.model_validate(settings), wall=clock)
        plugin.headgate_configure(Setup("quota", None, {}))
        made.append(plugin)
        return plugin

    yield make
    for plugin in made:
        plugin.close()


def asking(identity: Identity = ANN, *, is_stream: bool = True, **scan: Any) -> Exchange:
    exchange = make_exchange(identity=identity, model="m")
    exchange.body_scan = BodyScan(b" " * 4 * PROMPT, "m", (0, 0), is_stream=is_stream, **scan)
    return exchange


def admitted(plugin: Quota, exchange: Exchange | None = None) -> Reservation:
    verdict = plugin.headgate_ratelimit(exchange or asking())
    assert isinstance(verdict, Reservation)
    return verdict


def run(reservation: Reservation, num: int, usage: Usage | None = None) -> tuple[int, Reject | None]:
    """Let so many events come; return how many may pass, and why the next one may not."""
    usage, meter = usage or Usage(), reservation.meter
    assert meter is not None
    for passed in range(num):
        usage.num_events += 1
        verdict = meter(usage)
        if verdict is not None:
            return passed, verdict
    return num, None


def settle(reservation: Reservation, num_events: int | None, **facts: Any) -> None:
    told = {"error": None, "prompt_tokens": None, "completion_tokens": None, **facts}
    assert reservation.settle is not None
    reservation.settle(Settlement(200, is_client_gone=False, is_sent=True, num_events=num_events, **told))


def charged(plugin: Quota, name: str = "key ann", per: Any = "day", now_s: float = NOON_S) -> Amounts:
    assert plugin._ledger is not None
    return plugin._ledger.charged(name.encode(), per, now_s)


def test_a_stream_is_stopped_at_the_limit_to_the_token_and_the_next_request_is_refused(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 200})
    reservation = admitted(plugin)
    num, verdict = run(reservation, 500)
    assert num == 190 and verdict is not None
    assert (verdict.kind, verdict.detail) == ("quota_exceeded", "quota: key/day, in a stream")
    assert verdict.message == (
        "the quota of this key is 200 tokens a day, and used up within this answer: "
        "it is renewed at 2027-01-16T00:00:00Z"
    )
    settle(reservation, 230, error="quota_exceeded")  # whoever read it was ahead
    assert charged(plugin) == (1, 200, 0)
    refusal = plugin.headgate_ratelimit(asking())
    assert isinstance(refusal, Reject) and refusal.kind == "quota_exceeded"


def test_one_within_its_reservation_reserves_no_more(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 200})
    reservation = admitted(plugin, asking(max_tokens=50))
    assert run(reservation, 50) == (50, None)
    assert charged(plugin) == (1, 60, 0)
    settle(reservation, 50)
    assert charged(plugin) == (1, 60, 0)


def test_what_is_reserved_ahead_and_not_used_is_given_back(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 1000})
    reservation = admitted(plugin)
    assert run(reservation, 6) == (6, None)
    assert charged(plugin).tokens == PROMPT + 6 + AHEAD_TOKENS
    settle(reservation, 6)
    assert charged(plugin) == (1, PROMPT + 6, 0)


def test_two_streams_share_what_is_left_and_neither_takes_from_the_other(make: Make) -> None:
    plugin = make({**TENANT, "max_tokens": 300})
    ann, bob = admitted(plugin, asking(ANN)), admitted(plugin, asking(BOB))
    assert run(ann, 100) == (100, None)
    num, verdict = run(bob, 300)
    assert verdict is not None
    given = 2 * PROMPT + 100 + num
    assert charged(plugin, "tenant acme", "total").tokens == 300
    assert 300 - AHEAD_TOKENS <= given <= 300  # what one has reserved ahead the other does not get
    settle(ann, 100)
    settle(bob, num, error="quota_exceeded")
    assert charged(plugin, "tenant acme", "total") == (2, given, 0)


def test_an_event_may_count_as_several_tokens(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 200}, tokens_per_event=4)
    reservation = admitted(plugin)
    num, _ = run(reservation, 500)
    assert num == 190 // 4
    settle(reservation, 60, error="quota_exceeded")
    assert charged(plugin) == (1, PROMPT + 4 * num, 0)


@pytest.mark.parametrize("on_exceeded", ["charge", "stop"])
def test_so_it_is_settled_with_or_without_a_stop(make: Make, on_exceeded: str) -> None:
    plugin = make({**DAY, "max_tokens": 200}, tokens_per_event=4, on_exceeded=on_exceeded)
    reservation = admitted(plugin)
    if on_exceeded == "stop":
        run(reservation, 7)
    settle(reservation, 7)
    assert charged(plugin) == (1, PROMPT + 28, 0)


def test_what_the_service_tells_with_its_events_stands(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 200})
    reservation, usage = admitted(plugin), Usage(0, 40, 100)
    assert run(reservation, 1, usage) == (1, None)
    usage.completion_tokens = 161
    num, verdict = run(reservation, 1, usage)
    assert num == 0 and verdict is not None
    settle(reservation, 2, prompt_tokens=40, completion_tokens=161, error="quota_exceeded")
    assert charged(plugin) == (1, 140, 0)  # of the event that was not given nothing is charged


def test_a_usage_behind_the_answer_withholds_nothing_and_is_charged_on_top(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 200})
    reservation, usage = admitted(plugin), Usage()
    assert run(reservation, 100, usage) == (100, None)
    usage.prompt_tokens, usage.completion_tokens = 50, 170
    assert reservation.meter is not None and reservation.meter(usage) is None
    settle(reservation, 100, prompt_tokens=50, completion_tokens=170)
    assert charged(plugin) == (1, 220, 0)
    assert isinstance(plugin.headgate_ratelimit(asking()), Reject)


def test_money_stops_a_stream_as_tokens_do(make: Make) -> None:
    prices = {"m": {"input": "1", "output": "3"}}
    plugin = make({**TENANT, "max_cost": "0.000100"}, {**DAY, "max_tokens": 10_000}, prices=prices)
    reservation = admitted(plugin)
    num, verdict = run(reservation, 500)
    assert num == (100 - PROMPT) // 3 and verdict is not None
    assert verdict.message == (
        "the quota of this tenant is 0.0001 of money in total, and used up within this answer: it is not renewed"
    )
    settle(reservation, 31, error="quota_exceeded")
    assert charged(plugin, "tenant acme", "total").cost == PROMPT + 3 * num


def test_an_answer_may_cost_more_than_was_reserved_and_have_no_more_tokens(make: Make) -> None:
    prices = {"m": {"input": "1", "output": "10"}}
    plugin = make({**DAY, "max_cost": "0.000100"}, prices=prices)
    reservation, usage = admitted(plugin), Usage(0, 1, 9)  # 15 tokens are reserved, and 60 millionths
    assert run(reservation, 1, usage) == (1, None)
    usage.completion_tokens = 10
    assert run(reservation, 1, usage)[1] is not None
    settle(reservation, 2, prompt_tokens=1, completion_tokens=10, error="quota_exceeded")
    assert charged(plugin).cost == 91


def test_a_period_that_has_ended_is_in_nobodys_way(make: Make, clock: Clock) -> None:
    plugin = make({**DAY, "max_tokens": 100}, {**TENANT, "max_tokens": 300})
    reservation, usage = admitted(plugin), Usage()
    assert run(reservation, 80, usage) == (80, None)
    clock.now_s += DAY_S
    num, verdict = run(reservation, 500, usage)
    assert 80 + num == 300 - PROMPT and verdict is not None
    settle(reservation, 80 + num, error="quota_exceeded")
    assert charged(plugin, now_s=clock.now_s) == (0, 0, 0)
    assert charged(plugin, "tenant acme", "total") == (1, 300, 0)


def test_a_stream_that_nobody_was_shown_is_charged_no_more_than_was_reserved(make: Make) -> None:
    plugin = make({**DAY, "max_tokens": 1000})
    settle(admitted(plugin), 400, error="client_gone")  # held back, and left by its client
    assert charged(plugin) == (1, PROMPT + 5, 0)
    settle(admitted(plugin), None, prompt_tokens=8, completion_tokens=300)  # it came as a whole
    assert charged(plugin) == (2, PROMPT + 5 + 308, 0)


def unread() -> Exchange:
    exchange = make_exchange(identity=ANN, model="m")
    exchange.request.body = Told()
    exchange.route = RouteView("chat", (), {}, True, 0)
    return exchange


class Told:
    """A body that is not read."""

    length = 4 * PROMPT
    is_empty = False

    async def read(self, limit_bytes: int) -> bytes:
        raise AssertionError("expected the body to be left alone")

    def arrived(self, limit_bytes: int) -> bytes | None:
        return None

    def replace(self, data: bytes) -> None:
        raise AssertionError("expected the body to be left alone")


@pytest.mark.parametrize(
    ("settings", "exchange", "is_metered"),
    [
        ({"on_exceeded": "charge"}, asking(), False),
        ({}, asking(is_stream=False), False),
        ({}, make_exchange(identity=ANN), False),  # no body, or no inference
        ({}, unread(), True),  # who does not read the body does not know
        ({}, asking(), True),
    ],
)
def test_only_what_may_be_stopped_is_metered(
    make: Make, settings: dict[str, Any], exchange: Exchange, is_metered: bool
) -> None:
    plugin = make({**DAY, "max_tokens": 1000}, **settings)
    assert (admitted(plugin, exchange).meter is not None) is is_metered


def test_where_requests_alone_are_limited_nothing_is_metered(make: Make) -> None:
    assert admitted(make({**DAY, "max_requests": 10})).meter is None


def test_metrics_tell_what_was_stopped_and_reserved(make: Make) -> None:
    plugin, registry = make({**DAY, "max_tokens": 200}), Registry()
    plugin.headgate_metrics(registry)
    reservation = admitted(plugin)
    run(reservation, 500)
    lines = registry.render().decode().splitlines()
    assert 'headgate_quota_reserved{plugin="quota",unit="tokens"} 200' in lines
    assert 'headgate_quota_stopped_total{plugin="quota",limit="key/day",unit="tokens"} 1' in lines
    settle(reservation, 200, error="quota_exceeded")
    lines = registry.render().decode().splitlines()
    assert 'headgate_quota_reserved{plugin="quota",unit="tokens"} 0' in lines
    assert 'headgate_quota_used_total{plugin="quota",unit="tokens"} 200' in lines
    assert not any(line.startswith("headgate_quota_excess_total{") for line in lines)
