"""Laws of `quota`: charges stay within their limit and are never forgotten, whoever dies and whatever clocks do."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.plugins.quota.amounts import Amounts, Price
from headgate.plugins.quota.cells import Words, num_bytes, present
from headgate.plugins.quota.ledger import NOTHING, Ask, Decision, Ledger, LedgerFullError, Standing
from headgate.plugins.quota.periods import EARLIEST_S, LATEST_S, PERS, Per, period_at, period_of
from headgate.proxy.counting import own_memory

START_S = 1_800_000_000
MAX_ACCOUNTS = 4
NUM_WORKERS = 2
LIMITS: dict[Per, tuple[int | None, int | None, int | None]] = {
    "minute": (4, 60, None),
    "hour": (9, None, 200),
    "total": (None, 300, 600),
}
amounts = st.builds(Amounts, st.just(1), st.integers(0, 40), st.integers(0, 90))
ACCOUNTS: list[tuple[bytes, Per]] = [(b"A", "total"), (b"A", "hour"), *((bytes([name]), "minute") for name in b"ABCD")]
uses = amounts | st.just(NOTHING)
asked = st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True)
STEPS_S = (-4000, -60, -60, -7, 7, 60, 60, 130, 3600)
Key = tuple[bytes, Per, int]  # an account and the word of its period


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """Words of a process that is killed before it writes one more than `num_left`."""

    def __init__(self, words: Words, num_left: int) -> None:
        self.words = words
        self.num_left = num_left

    def __getitem__(self, at: Any) -> Any:
        return self.words[at]

    def __setitem__(self, at: int, word: int) -> None:
        if self.num_left == 0:
            raise Killed
        self.num_left -= 1
        self.words[at] = word


class Held(NamedTuple):
    """A reservation of a worker that lives."""

    worker: int
    keys: tuple[Key, ...]
    standings: tuple[Standing, ...]
    reserved: Amounts

    def grown(self, more: Amounts) -> Held:
        """The same with more reserved."""
        return self._replace(reserved=Amounts(*map(sum, zip(self.reserved, more, strict=True))))


class Ledgers(RuleBasedStateMachine):
    """Workers reserve and settle on one table that is too small; some are killed between any two writes.

    The model knows of each account and period the least and the most that may stand there: they differ by what was
    under way as somebody was killed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory = own_memory("", num_bytes(MAX_ACCOUNTS))
        self.workers = [Ledger(self.memory, MAX_ACCOUNTS) for _ in range(NUM_WORKERS)]
        self.now_s = START_S
        self.held: list[Held] = []
        self.least: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.most: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.excess: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])

    def teardown(self) -> None:
        for worker in self.workers:
            worker.close()
        os.close(self.memory)

    @rule(step_s=st.sampled_from(STEPS_S))
    def step_of_the_clock(self, step_s: int) -> None:
        self.now_s += step_s

    @rule(worker=st.integers(0, NUM_WORKERS - 1), who=asked, takes=amounts)
    def reserve(self, worker: int, who: list[tuple[bytes, Per]], takes: Amounts) -> None:
        asks = asks_of(who)
        try:
            decision = self.workers[worker].reserve(asks, takes, self.now_s)
        except LedgerFullError:
            return
        keys = keys_of(asks, decision.standings)
        if decision.over:
            for number, unit in decision.over:
                limit = asks[number].limits[unit]
                assert limit is not None and self.most[keys[number]][unit] + takes[unit] > limit
            self.check(keys, decision.standings)
            return
        for key in keys:
            add(self.least[key], takes)
            add(self.most[key], takes)
        self.check(keys, decision.standings)
        self.held.append(Held(worker, keys, decision.standings, takes))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), used=uses)
    def settle(self, which: int, used: Amounts) -> None:
        held = self.held.pop(which % len(self.held))
        self.workers[held.worker].settle(held.standings, held.reserved, used)
        for key in held.keys:
            add(self.least[key], used, held.reserved)
            add(self.most[key], used, held.reserved)
            add(self.excess[key], [max(0, u - r) for u, r in zip(used, held.reserved, strict=True)])

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), more=amounts)
    def grow(self, which: int, more: Amounts) -> None:
        held = self.held[which % len(self.held)]
        more, ledger, live = more._replace(requests=0), self.workers[held.worker], self.live(held)
        over = ledger.grow(asks_of([key[:2] for key in held.keys]), held.standings, more, self.now_s)
        for number, unit in over:
            limit = LIMITS[held.keys[number][1]][unit]
            assert held.keys[number] in live and limit is not None
            assert self.most[held.keys[number]][unit] + more[unit] > limit
        if not over:
            for key in live:
                add(self.least[key], more)
                add(self.most[key], more)
            self.held[which % len(self.held)] = held.grown(more)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), more=amounts, num=st.integers(0, 9))
    def die_growing(self, which: int, more: Amounts, num: int) -> None:
        held = self.held[which % len(self.held)]
        more, ledger, live = more._replace(requests=0), self.workers[held.worker], self.live(held)
        asks = asks_of([key[:2] for key in held.keys])
        is_over: list[bool] = []
        self.die(held.worker, num, lambda: is_over.append(bool(ledger.grow(asks, held.standings, more, self.now_s))))
        for key in live if is_over != [True] else ():
            add(self.most[key], more)
            add(self.least[key], more if is_over else NOTHING)

    def live(self, held: Held) -> list[Key]:
        """The accounts whose period a reservation is charged in still."""
        cells = self.workers[held.worker]._cells
        return [
            key
            for key, (place, account, period, _) in zip(held.keys, held.standings, strict=True)
            if cells.is_of(place, account) and cells.period(place) == period >= present(key[1], self.now_s)
        ]

    @rule(worker=st.integers(0, NUM_WORKERS - 1), who=asked, takes=amounts, num=st.integers(0, 14))
    def die_reserving(self, worker: int, who: list[tuple[bytes, Per]], takes: Amounts, num: int) -> None:
        asks, ledger = asks_of(who), self.workers[worker]
        try:
            keys = keys_of(asks, ledger._standings(asks, self.now_s))
        except LedgerFullError:
            keys = ()
        decision = self.die(worker, num, lambda: ledger.reserve(asks, takes, self.now_s))
        for key in keys:
            add(self.most[key], takes)
            if decision is not None and not decision.over:  # it had been done by then
                add(self.least[key], takes)
        if decision is not None and decision.over:
            for key in keys:
                add(self.most[key], (0, 0, 0), takes)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 9), used=uses, num=st.integers(0, 6))
    def die_settling(self, which: int, used: Amounts, num: int) -> None:
        held = self.held.pop(which % len(self.held))
        ledger = self.workers[held.worker]
        self.die(held.worker, num, lambda: ledger.settle(held.standings, held.reserved, used))
        for key in held.keys:
            for unit, (u, r) in enumerate(zip(used, held.reserved, strict=True)):
                self.least[key][unit] += min(0, u - r)
                self.most[key][unit] += max(0, u - r)
                self.excess[key][unit] += max(0, u - r)

    def die(self, worker: int, num: int, work: Callable[[], Decision | None]) -> Decision | None:
        """Kill a worker after `num` words; return what it had done by then. Its reservations are nobody's."""
        ledger = self.workers[worker]
        ledger._cells._words = Mortal(ledger._cells._words, num)
        try:
            return work()
        except (Killed, LedgerFullError):
            return None
        finally:
            ledger.close()
            self.workers[worker] = Ledger(self.memory, MAX_ACCOUNTS)
            self.held = [held for held in self.held if held.worker != worker]

    def check(self, keys: Sequence[Key], standings: Sequence[Standing]) -> None:
        for key, standing in zip(keys, standings, strict=True):
            for unit, charged in enumerate(standing.charged):
                assert self.least[key][unit] <= charged <= self.most[key][unit]

    @invariant()
    def no_limit_is_exceeded_but_by_what_exceeds_its_reservation(self) -> None:
        for (name, per, period), charged in self.least.items():
            for unit, limit in enumerate(LIMITS[per]):
                assert limit is None or charged[unit] <= limit + self.excess[name, per, period][unit]

    @invariant()
    def every_account_stands_between_the_least_and_the_most(self) -> None:
        ledger = self.workers[0]
        assert len(ledger) <= MAX_ACCOUNTS
        for name, per in ACCOUNTS:
            ask = Ask(name, per, LIMITS[per])
            standing = ledger._known(ledger._account(ask), present(per, self.now_s))
            if standing is not None:
                self.check(keys_of([ask], [standing]), [standing])


def asks_of(who: list[tuple[bytes, Per]]) -> list[Ask]:
    return [Ask(name, per, LIMITS[per]) for name, per in who]


def keys_of(asks: Sequence[Ask], standings: Sequence[Standing]) -> tuple[Key, ...]:
    return tuple((ask.name, ask.per, standing.period) for ask, standing in zip(asks, standings, strict=True))


def add(total: list[int], more: Sequence[int], less: Sequence[int] = (0, 0, 0)) -> None:
    for unit in range(3):
        total[unit] += more[unit] - less[unit]


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("seed", range(40))
def test_the_laws_hold_on_long_walks(seed: int) -> None:
    """As above without shrinking: most of what can go wrong needs a table that is full and a clock that moves."""
    drawn, walk = random.Random(seed), Ledgers()
    try:
        for _ in range(150):
            step(walk, drawn)
            walk.no_limit_is_exceeded_but_by_what_exceeds_its_reservation()
            walk.every_account_stands_between_the_least_and_the_most()
    finally:
        walk.teardown()


def step(walk: Ledgers, drawn: random.Random) -> None:
    worker, which, num = drawn.randrange(NUM_WORKERS), drawn.randrange(10), drawn.randrange(15)
    who = drawn.sample(ACCOUNTS, drawn.randint(1, 3))
    takes = Amounts(1, drawn.randrange(30), drawn.randrange(60))
    rules = {"clock": 3, "reserve": 6, "grow": 4, "settle": 4, "die reserving": 2, "die growing": 1, "die settling": 1}
    match drawn.choices([*rules], [*rules.values()])[0]:
        case "clock":
            walk.step_of_the_clock(drawn.choice(STEPS_S))
        case "reserve":
            walk.reserve(worker, who, takes)
        case "grow" if walk.held:
            walk.grow(which, takes)
        case "die growing" if walk.held:
            walk.die_growing(which, takes, num % 10)
        case "settle" if walk.held:
            walk.settle(which, drawn.choice((NOTHING, takes)))
        case "die reserving":
            walk.die_reserving(worker, who, takes, num)
        case "die settling" if walk.held:
            walk.die_settling(which, takes, num % 7)


@given(st.sampled_from(PERS), st.integers(EARLIEST_S, LATEST_S), st.integers(0, 10**7))
def test_periods_are_spans_without_gaps_and_their_numbers_grow(per: Per, now_s: int, later_s: int) -> None:
    period, later = period_at(per, now_s), period_at(per, now_s + later_s)
    assert 0 < period.number <= later.number
    if period.end_s is not None:
        assert period.begin_s <= now_s < period.end_s
        assert period_of(per, period.number + 1).begin_s == period.end_s
    assert period_at(per, period.begin_s) == period or period.begin_s < EARLIEST_S


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**15), st.integers(0, 10**15))
def test_money_is_never_rounded_down(prompt: int, answer: int, price_in: int, price_out: int) -> None:
    cost = Price(price_in, price_out).cost(prompt, answer)
    exact = prompt * price_in + answer * price_out
    assert cost * 10**6 >= exact > (cost - 1) * 10**6 or cost == 1 << 53
