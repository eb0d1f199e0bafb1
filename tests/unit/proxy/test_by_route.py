"""What a plugin makes of its settings for each route."""

from __future__ import annotations

from pydantic import BaseModel

from headgate.proxy.by_route import MAX_ROUTES, ByRoute
from headgate.proxy.exchange.exchange import RouteView


class Settings(BaseModel):
    one: int = 1
    two: int = 2


def route(name: str, options: Settings | None = None) -> RouteView:
    return RouteView(name, (), {} if options is None else {"mine": options}, False, 0)


class Maker:
    """Makes lists of both settings, and counts how often."""

    def __init__(self) -> None:
        self.num_made = 0

    def __call__(self, settings: Settings) -> list[int]:
        self.num_made += 1
        return [settings.one, settings.two]


def test_what_a_route_sets_stands_in_place_of_the_plugins_own() -> None:
    made = ByRoute(Settings(one=10, two=20), Maker())
    assert made.of("mine", route("plain")) == [10, 20]
    assert made.of("mine", route("own", Settings(two=2))) == [10, 2]  # set, though it is the default


def test_it_is_made_once_for_all_that_set_nothing_and_once_for_each_that_does() -> None:
    make = Maker()
    made, own = ByRoute(Settings(), make), route("own", Settings(one=3))
    assert made.of("mine", route("a")) is made.of("mine", route("b"))
    assert made.of("mine", own) is made.of("mine", own)
    assert make.num_made == 2


def test_options_under_another_name_are_not_its_own() -> None:
    made = ByRoute(Settings(), Maker())
    assert made.of("another", route("own", Settings(one=3))) == [1, 2]


def test_other_options_under_the_same_route_count_at_once() -> None:
    made = ByRoute(Settings(), Maker())
    before, after = route("own", Settings(one=3)), route("own", Settings(one=4))
    assert [made.of("mine", each)[0] for each in (before, after, before)] == [3, 4, 3]


def test_what_is_kept_has_a_bound() -> None:
    make = Maker()
    made, first = ByRoute(Settings(), make), route("0", Settings(one=3))
    made.of("mine", first)
    for number in range(1, MAX_ROUTES):
        made.of("mine", route(str(number), Settings()))
    num_made = make.num_made
    made.of("mine", first)
    assert make.num_made == num_made  # as many are kept
    made.of("mine", route("one more", Settings()))
    made.of("mine", first)
    assert make.num_made == num_made + 2  # and no more
