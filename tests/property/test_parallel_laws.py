"""Laws of `api_key`: parallel requests are bounded and given back, keys are valid in their windows and no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headgate.ext.slots import SlotTable
from headgate.plugins.api_key import ApiKey, digest
from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.counting import Counting
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup
from headgate.proxy.verdicts import Identity, Reject, Reservation, Settlement

from ..unit.plugins.exchanges import make_exchange

PEPPER = "a pepper of the tests"
KEYS = ("one", "two", "three")
START = datetime(2026, 1, 1, tzinfo=UTC)


def ask(plugin: ApiKey, key: str) -> tuple[Exchange, Identity | Reject | None]:
    exchange = make_exchange(("x-api-key", key))
    return exchange, plugin.headgate_auth(exchange)


def make(entries: list[dict[str, Any]], at: list[datetime]) -> ApiKey:
    config = ApiKey.Config.model_validate({"pepper": SecretRef("env:PEPPER", PEPPER), "inline": entries})
    return ApiKey(config, lambda: at[0])


class ParallelRequests(RuleBasedStateMachine):
    """Requests begin, are refused, end in any order and way, some twice; reloads come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = SlotTable(len(KEYS))
        self.limits: dict[str, int | None] = {}
        self.under_way: list[tuple[str, Reservation]] = []
        self.ended: list[Reservation] = []

    @initialize(limits=st.lists(st.none() | st.integers(1, 3), min_size=3, max_size=3))
    def begin(self, limits: list[int | None]) -> None:
        self.plugin = self.configured(limits, None)

    @rule(limits=st.lists(st.none() | st.integers(1, 3), min_size=3, max_size=3))
    def reload(self, limits: list[int | None]) -> None:
        self.plugin = self.configured(limits, self.plugin)

    def configured(self, limits: list[int | None], previous: ApiKey | None) -> ApiKey:
        self.limits = dict(zip(KEYS, limits, strict=True))
        entries = [
            {"id": key, "tenant": "t", "digests": [{"digest": digest(key, PEPPER)}], "max_parallel": limit}
            for key, limit in self.limits.items()
        ]
        plugin = make(entries, [START])
        plugin.headgate_configure(Setup("api_key", previous, {}, Counting(slots=self.slots)))
        return plugin

    def running(self, key: str) -> int:
        return sum(name == key for name, _ in self.under_way)

    @rule(key=st.sampled_from(KEYS))
    def request(self, key: str) -> None:
        exchange, identity = ask(self.plugin, key)
        assert isinstance(identity, Identity)
        verdict, limit = self.plugin.headgate_ratelimit(exchange), self.limits[key]
        if limit is None:
            assert verdict is None
        elif self.running(key) < limit:
            assert isinstance(verdict, Reservation)
            self.under_way.append((key, verdict))
        else:
            assert isinstance(verdict, Reject)
            assert verdict.kind == "too_many_parallel"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), status=st.sampled_from([200, 499, 502]))
    def end(self, data: st.DataObject, status: int) -> None:
        _, reservation = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.settle(reservation, status)
        self.ended.append(reservation)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def end_again(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.sampled_from(self.ended)), 200)

    def settle(self, reservation: Reservation, status: int) -> None:
        assert reservation.settle is not None
        reservation.settle(Settlement(status, None, None, None, status == 499))

    @invariant()
    def counts_are_exact(self) -> None:
        assert [self.slots.count(("api_key", key)) for key in KEYS] == [self.running(key) for key in KEYS]
        assert len(self.slots) == len({key for key, _ in self.under_way})

    def teardown(self) -> None:
        for _, reservation in self.under_way:
            self.settle(reservation, 200)
        assert len(self.slots) == 0


ParallelRequests.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestParallelRequests = ParallelRequests.TestCase

MINUTES = st.none() | st.integers(0, 20)
Window = tuple[int | None, int | None]


def is_in_order(window: Window) -> bool:
    begin, end = window
    return begin is None or end is None or begin < end


WINDOWS: st.SearchStrategy[Window] = st.tuples(MINUTES, MINUTES).filter(is_in_order)


def instant(minutes: int | None, offset_h: int = 0) -> datetime | None:
    """Return an instant so many minutes after the start, written with an offset of so many hours."""
    if minutes is None:
        return None
    return (START + timedelta(minutes=minutes)).astimezone(datetime.strptime(f"{offset_h:+03d}00", "%z").tzinfo)


@given(
    windows=st.lists(WINDOWS, min_size=1, max_size=4),
    is_disabled=st.booleans(),
    offset_h=st.integers(-12, 12),
    seconds=st.lists(st.integers(-60, 21 * 60) | st.integers(0, 20).map(lambda minute: minute * 60), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_a_credential_is_valid_in_its_window_only(
    windows: list[Window], is_disabled: bool, offset_h: int, seconds: list[int]
) -> None:
    digests = [
        {
            "digest": digest(f"key {number}", PEPPER),
            "not_before": instant(begin, offset_h),
            "not_after": instant(end, -offset_h),
        }
        for number, (begin, end) in enumerate(windows)
    ]
    at = [START]
    plugin = make([{"id": "a", "tenant": "t", "digests": digests, "disabled": is_disabled}], at)
    for second in seconds:
        at[0] = START + timedelta(seconds=second)
        for number, (begin, end) in enumerate(windows):
            is_begun = begin is None or second >= begin * 60
            is_over = end is not None and second >= end * 60
            _, verdict = ask(plugin, f"key {number}")
            assert isinstance(verdict, Identity) == (is_begun and not is_over and not is_disabled)
