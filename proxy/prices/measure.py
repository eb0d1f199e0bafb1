"""The price of each plugin of a route: what an exchange costs with all plugins, less what it costs without the one.

Processor time of the whole process, many small rounds, in each of which every variant takes its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from ..exchange.exchange import Exchange
from ..gateway import Gateway
from ..hook_timing import hook_seconds, timed
from ..lane.pipeline import is_inline
from ..observe.access_log import AccessLog
from ..observe.metrics import Registry
from ..observe.observer import Observer
from ..snapshot import Snapshot
from .asked import Asked, Given
from .variant import Stage, names_in, with_program, without
from .walk import Walk

BATCH = 20
ROUNDS = 100
_ALL, _NONE = "", "*"  # no plugin is called so

Requests = Callable[[int], Asked]
Check = Callable[[Mapping[int, int], str], None]  # how many were answered how, why the first was by an error


def any_answer(statuses: Mapping[int, int], error: str) -> None:
    """Whatever is answered is measured."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How often is measured: `batch` exchanges of each variant in each of the rounds."""

    rounds: int = ROUNDS
    batch: int = BATCH


@dataclass(frozen=True, slots=True)
class Price:
    """What one plugin adds to an exchange, in microseconds: the median of the rounds, and where half of them lie.

    `least_us` is what the quickest round with it took more than the quickest without it: what it costs where nobody
    else wants the processor. `ratio` is the exchange with it to the one without it. `stages` are those in which it was
    called.
    """

    plugin: str
    stages: tuple[Stage, ...]
    us: float
    low_us: float
    high_us: float
    least_us: float
    ratio: float


@dataclass(frozen=True, slots=True)
class RoutePrices:
    """What the plugins of one route cost, the dearest first.

    `statuses` says how often the exchanges with all plugins were answered how, `error` why the first was by an error.
    """

    route: str
    is_inline: bool
    statuses: Mapping[int, int]
    error: str
    with_all_us: float
    without_any_us: float
    prices: tuple[Price, ...]
    unused: tuple[str, ...] = ()
    alike: tuple[str, ...] = field(default=())


async def prices_of(
    snapshot: Snapshot, route: str, requests: Requests, given: Given, effort: Effort, check: Check = any_answer
) -> RoutePrices:
    """Measure the plugins of a route. `requests` returns the request of each number, from 0 on; all go to the route.

    Whatever plugins write, send or count by themselves, they do. `check` is asked about the answer to the first one,
    and at the end about all. Raises: ValueError where a request goes elsewhere, and what `check` raises.
    """
    index = next(place for place, program in enumerate(snapshot.programs) if program.view.name == route)
    program = snapshot.programs[index]
    trial = await _tried(snapshot, index, requests(0), given)
    check({trial.status: 1}, trial.error)
    gateways = {_ALL: with_program(snapshot, index, program)}
    names = names_in(program)
    for name in names:
        gateways[name] = with_program(snapshot, index, without(program, {name}, trial.exchange))
    gateways[_NONE] = with_program(snapshot, index, without(program, set(names), trial.exchange))
    course = _Course({name: _gateway(each) for name, each in gateways.items()}, requests, given, effort)
    await course.run()
    check(course.statuses, trial.error)
    spans = course.spans_us
    prices = [_price(name, trial.stages[name], spans[_ALL], spans[name]) for name in names if name in trial.stages]
    return RoutePrices(
        route=route,
        is_inline=is_inline(program),
        statuses=dict(course.statuses),
        error=trial.error,
        with_all_us=median(spans[_ALL]),
        without_any_us=median(spans[_NONE]),
        prices=tuple(sorted(prices, key=lambda price: -price.us)),
        unused=tuple(name for name in names if name not in trial.stages),
    )


def _price(name: str, stages: tuple[Stage, ...], spans: Sequence[float], others: Sequence[float]) -> Price:
    pairs = list(zip(spans, others, strict=True))
    added = [one - other for one, other in pairs]
    low, middle, high = quantiles(added, n=4, method="inclusive") if len(added) > 1 else added * 3
    ratio = median([one / other for one, other in pairs])
    return Price(name, stages, middle, low, high, min(spans) - min(others), ratio)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One exchange as it is with all plugins, and the stages in which it met each."""

    exchange: Exchange
    stages: Mapping[str, tuple[Stage, ...]]
    status: int
    error: str


async def _tried(snapshot: Snapshot, index: int, asked: Asked, given: Given) -> _Trial:
    seconds, program = hook_seconds(), snapshot.programs[index]
    walk = Walk(_gateway(with_program(snapshot, index, timed(program, seconds))), asked, given)
    exchange = await walk.lead()
    if exchange.route is not program.view:
        found = f"to route `{exchange.route.name}`" if exchange.route.name else f"nowhere ({walk.error})"
        raise ValueError(
            f"expected a request for route `{program.view.name}`, {asked.method} {asked.target} goes {found}"
        )
    stages: dict[str, tuple[Stage, ...]] = {}
    for (plugin, stage), _ in seconds.rows():
        stages[plugin] = (*stages.get(plugin, ()), stage)
    return _Trial(exchange, stages, walk.status, walk.error)


def _gateway(snapshot: Snapshot) -> Gateway:
    return Gateway(snapshot, Observer(Registry(), AccessLog("off")))


class _Course:
    """The rounds. `spans_us` are the times of an exchange by variant, one for each round."""

    def __init__(self, gateways: Mapping[str, Gateway], requests: Requests, given: Given, effort: Effort) -> None:
        self._gateways = gateways
        self._requests = requests
        self._given = given
        self._effort = effort
        self._num_led = 0
        self.statuses: Counter[int] = Counter()
        self.spans_us: dict[str, list[float]] = {name: [] for name in gateways}

    async def run(self) -> None:
        """Let each variant run once, and then so many rounds that count."""
        names = list(self._gateways)
        with _without_collector():
            for name in names:
                await self._batch(name)
            self.statuses.clear()
            for number in range(self._effort.rounds):
                turn = number % len(names)  # nobody comes behind the same one always
                for name in (*names[turn:], *names[:turn]):
                    self.spans_us[name].append(await self._batch(name))

    async def _batch(self, name: str) -> float:
        """Lead some exchanges; return the processor time of one, in microseconds."""
        gateway, given, num = self._gateways[name], self._given, self._effort.batch
        walks = [Walk(gateway, self._requests(self._num_led + number), given) for number in range(num)]
        self._num_led += num
        await asyncio.sleep(0)
        began = time.process_time_ns()
        for walk in walks:
            await walk.lead()
        spent_ns = time.process_time_ns() - began
        await asyncio.sleep(0)  # what was put off is done between the rounds
        if name == _ALL:
            self.statuses.update(walk.status for walk in walks)
        return spent_ns / num / 1000


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
