"""The cache core against models of its policies, and the laws of its budget, expiry and reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.cache_core import POLICIES, SWEPT_PER_PUT, CacheCore, Policy, Reason

from .cache_models import MODELS

Core = CacheCore[Any, Any]
Call = tuple[str, tuple[Any, ...]]
Left = list[tuple[Any, Any, Reason]]

KEYS = st.integers(0, 14)  # few enough for the searches of every policy to stay below MAX_STEPS
FOREVER = float("inf")


def calls(expiries: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[float, Call]]]:
    """Calls, each with the time that passes before it; an instant in a call is counted from now."""
    sizes = st.integers(1, 9)
    one = st.one_of(
        st.tuples(st.just("get"), st.tuples(KEYS)),
        st.tuples(st.just("get"), st.tuples(KEYS)),
        st.tuples(st.just("put"), st.tuples(KEYS, sizes, expiries)),
        st.tuples(st.just("put"), st.tuples(KEYS, sizes, expiries)),
        st.tuples(st.just("delete"), st.tuples(KEYS, st.sampled_from(Reason))),
        st.tuples(st.just("reserve"), st.tuples(st.integers(0, 12))),
        st.tuples(st.just("release"), st.tuples(st.integers(0, 12))),
        st.tuples(st.just("resize"), st.tuples(st.integers(1, 60))),
        st.tuples(st.just("sweep"), st.tuples(st.integers(0, 20))),
    )
    return st.lists(st.tuples(st.sampled_from([0.0, 0.0, 1.0, 7.0]), one), max_size=120)


@dataclass
class World:
    """A core, what it told, and what a map that keeps everything would hold."""

    core: Core
    left: Left
    now: float = 0.0
    num_values: int = 0
    num_stored: int = 0
    told: int = 0
    rows: dict[Any, tuple[int, int, float]] = field(default_factory=dict)  # value, size, expiry

    @classmethod
    def of(cls, core_type: type[Core], max_bytes: int, policy: Policy) -> World:
        left: Left = []
        return cls(core_type(max_bytes, policy, lambda *what: left.append(what)), left)

    def make(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Make a call, with `now` and a new value put in; a refusal is a result too."""
        if name == "put":
            key, size, lifetime = arguments
            self.num_values += 1
            arguments = (key, self.num_values, size, self.now + lifetime)
        if name in ("get", "put", "reserve", "sweep"):
            arguments = (*arguments, self.now)
        try:
            return getattr(self.core, name)(*arguments)
        except ValueError:
            return ValueError

    def news(self) -> Left:
        """What left since this was asked last."""
        news, self.told = self.left[self.told :], len(self.left)
        return news


class Expected:
    """A model of the policy with the budget around it: what each call answers, and who leaves in it."""

    def __init__(self, max_bytes: int, policy: Policy) -> None:
        self.max_bytes = max_bytes
        self.model = MODELS[policy]()
        self.sizes: dict[Any, int] = {}
        self.reserved = 0
        self.news: list[tuple[Any, Reason]] = []

    def leave(self, key: Any, reason: Reason) -> None:
        self.model.remove(key, is_for_room=reason is Reason.SIZE)
        del self.sizes[key]
        self.news.append((key, reason))

    def make_room(self, size: int) -> None:
        while self.sizes and sum(self.sizes.values()) + self.reserved + size > self.max_bytes:
            self.leave(self.model.victim(self.sizes, self.max_bytes), Reason.SIZE)

    def get(self, key: Any) -> bool:
        if key in self.sizes:
            self.model.use(key)
        return key in self.sizes

    def put(self, key: Any, size: int, lifetime: float) -> bool:
        if key in self.sizes:
            self.leave(key, Reason.REPLACED)
        if size + self.reserved > self.max_bytes:
            return False
        self.make_room(size)
        self.sizes[key] = size
        self.model.add(key)
        return True

    def delete(self, key: Any, reason: Reason) -> bool:
        is_there = key in self.sizes
        if is_there:
            self.leave(key, reason)
        return is_there

    def reserve(self, size: int) -> bool:
        if size + self.reserved > self.max_bytes:
            return False
        self.make_room(size)
        self.reserved += size
        return True

    def release(self, size: int) -> bool:
        self.reserved -= size if size <= self.reserved else 0
        return False

    def resize(self, max_bytes: int) -> bool:
        self.max_bytes = max_bytes
        self.make_room(0)
        return False

    def sweep(self, num_entries: int) -> bool:
        return False


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(POLICIES), st.integers(1, 60), calls(st.just(FOREVER)))
def test_who_goes_is_who_the_model_gives_up(
    core_type: type[Core], policy: Policy, max_bytes: int, sequence: list[tuple[float, Call]]
) -> None:
    follow(core_type, policy, max_bytes, [call for _, call in sequence])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(POLICIES), st.sampled_from([8, 10, 20, 30]), st.integers(0, 2**64))
def test_who_goes_is_who_the_model_gives_up_in_long_runs_of_much_use(
    core_type: type[Core], policy: Policy, max_bytes: int, seed: int
) -> None:
    random = Random(seed)
    sequence: list[Call] = []
    for _ in range(300):
        key = min(int(random.expovariate(0.15)), 24)
        name = random.choices(("get", "put", "delete"), (60, 38, 2))[0]
        more = {"get": (), "put": (random.choice((1, 1, 1, 2)), FOREVER), "delete": (random.choice(list(Reason)),)}
        sequence.append((name, (key, *more[name])))
    follow(core_type, policy, max_bytes, sequence)


def follow(core_type: type[Core], policy: Policy, max_bytes: int, sequence: list[Call]) -> None:
    """Make the calls on a core and on the model of its policy."""
    world, expected = World.of(core_type, max_bytes, policy), Expected(max_bytes, policy)
    core = world.core
    for name, arguments in sequence:
        expected.news.clear()
        is_refused = name == "release" and arguments[0] > expected.reserved
        is_done = getattr(expected, name)(*arguments)
        done = world.make(name, arguments)
        assert done is ValueError if is_refused else bool(done) == is_done
        assert [(key, reason) for key, _, reason in world.news()] == expected.news
        assert list(core) == expected.model.order()
        assert (core.stored_bytes, core.reserved_bytes) == (sum(expected.sizes.values()), expected.reserved)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(POLICIES), st.integers(1, 60), calls(st.sampled_from([-1.0, 0.0, 1.0, 5.0, 20.0, FOREVER])))
def test_budget_expiry_and_reasons_hold_whatever_is_called(
    core_type: type[Core], policy: Policy, max_bytes: int, sequence: list[tuple[float, Call]]
) -> None:
    world = World.of(core_type, max_bytes, policy)
    core, rows = world.core, world.rows
    for seconds, (name, arguments) in sequence:
        world.now += seconds
        before = dict(rows)
        done = world.make(name, arguments)
        news = world.news()
        for key, value, reason in news:
            assert rows.pop(key)[0] == value, "left once, with the value that was stored"
            is_expired = before[key][2] <= world.now
            assert reason in reasons(name, arguments, key, is_expired=is_expired)
        if name == "get":
            found = before.get(arguments[0])
            assert done == (found[0] if found is not None and found[2] > world.now else None)
            assert len(news) == (found is not None and found[2] <= world.now)
        if name == "put" and done:
            rows[arguments[0]] = (world.num_values, arguments[1], world.now + arguments[2])
            world.num_stored += 1
        assert dict.fromkeys(core) == dict.fromkeys(rows, None)
        assert all(core.peek(key) == value and key in core for key, (value, _, _) in rows.items())
        assert core.stored_bytes == sum(size for _, size, _ in rows.values())
        assert core.used_bytes == core.stored_bytes + core.reserved_bytes
        assert core.used_bytes <= core.max_bytes or (not rows and core.reserved_bytes > core.max_bytes)
        assert world.num_stored == len(core) + sum(core.num_left(reason) for reason in Reason)
        assert all(core.num_left(reason) == sum(why is reason for _, _, why in world.left) for reason in Reason)


def reasons(name: str, arguments: tuple[Any, ...], key: Any, *, is_expired: bool) -> set[Reason]:
    """Why `key` may leave in a call."""
    if name == "delete":
        return {arguments[1]}
    if name == "resize":
        return {Reason.SIZE}
    if name == "put" and key == arguments[0]:
        return {Reason.REPLACED, Reason.EXPIRED} if is_expired else {Reason.REPLACED}
    return {Reason.EXPIRED} if is_expired else {Reason.SIZE} if name in ("put", "reserve") else set()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(POLICIES), st.lists(st.booleans(), min_size=1, max_size=60))
def test_two_rounds_of_the_sweep_look_at_every_entry(
    core_type: type[Core], policy: Policy, are_short: list[bool]
) -> None:
    core = core_type(1000, policy)
    for key, is_short in enumerate(are_short):
        core.put(key, key, 1, 1.0 if is_short else 100.0, 0.0)
    for _ in range(2 * len(are_short)):
        before = core.num_left(Reason.EXPIRED)
        core.sweep(1, 1.0)
        assert core.num_left(Reason.EXPIRED) - before <= 1
    assert core.num_left(Reason.EXPIRED) == sum(are_short)
    assert sorted(core) == [key for key, is_short in enumerate(are_short) if not is_short]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(POLICIES), st.integers(1, 40))
def test_puts_alone_find_what_has_expired(core_type: type[Core], policy: Policy, num_expired: int) -> None:
    core = core_type(1000, policy)
    for key in range(num_expired):
        core.put(key, key, 1, 1.0, 0.0)
    for key in range(3 * num_expired):  # two rounds over rows that grow by one for every two that are looked at
        before = core.num_left(Reason.EXPIRED)
        core.put(f"new {key}", key, 1, 100.0, 1.0)
        assert core.num_left(Reason.EXPIRED) - before <= SWEPT_PER_PUT
    assert core.num_left(Reason.EXPIRED) == num_expired


class Player:
    """Makes calls at random from one seed, on any number of cores alike."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.policy: Policy = random.choice(("lru", "sieve", "s3fifo"))
        self.max_bytes = random.choice((10, 100, 1000, 20_000))
        self.num_keys = random.choice((5, 50, 500))
        self.now = 0.0

    def call(self) -> Call:
        random = self.random
        self.now += random.random()
        key = min(int(random.expovariate(4 / self.num_keys)), self.num_keys)
        name = random.choices(tuple(self._calls), (50, 40, 3, 2, 2, 1, 1, 1))[0]
        return name, self._calls[name](self, key)

    def _put(self, key: int) -> tuple[Any, ...]:
        size = self.random.choice((1, 2, 5, self.max_bytes // 10 + 1, 0, self.max_bytes + 1))
        return key, object(), size, self.now + self.random.choice((5, 50, 1e9, -1, float("nan"))), self.now

    _calls: ClassVar[dict[str, Callable[[Player, int], tuple[Any, ...]]]] = {
        "get": lambda self, key: (key, self.now),
        "put": _put,
        "delete": lambda self, key: (key, self.random.randrange(-1, 6)),
        "reserve": lambda self, key: (self.random.randrange(self.max_bytes // 5 + 1), self.now),
        "release": lambda self, key: (self.random.randrange(self.max_bytes // 5 + 1),),
        "resize": lambda self, key: (self.max_bytes + self.random.randrange(-self.max_bytes // 3, self.max_bytes),),
        "sweep": lambda self, key: (self.random.randrange(-1, 5), self.now),
        "peek": lambda self, key: (key,),
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64), st.sampled_from([50, 400]))
def test_the_core_does_what_the_twin_does(core_type: type[Core], seed: int, num_calls: int) -> None:
    player = Player(seed)
    logs: Sequence[Left] = ([], [])
    types: list[type[Core]] = [implementation("cache_core", "twin").CacheCore, core_type]
    cores = [
        kind(player.max_bytes, player.policy, lambda *what, log=log: log.append(what))
        for kind, log in zip(types, logs, strict=True)
    ]
    for _ in range(num_calls):
        name, arguments = player.call()
        first, second = (outcome(getattr(core, name), arguments) for core in cores)
        assert first == second, (name, arguments)
        assert logs[0] == logs[1], (name, arguments)
        assert state(cores[0]) == state(cores[1]), (name, arguments)
    assert list(cores[0]) == list(cores[1])


def outcome(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return call(*arguments)
    except ValueError as error:
        return type(error)


def state(core: Core) -> tuple[object, ...]:
    return (len(core), core.max_bytes, core.stored_bytes, core.reserved_bytes, *map(core.num_left, Reason))
