"""How single checks add up to a verdict."""

from __future__ import annotations

import pytest

from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.health.active_check import Verdict, request_fields
from headgate.proxy.upstream.health.settings import CheckSettings


def told(settings: CheckSettings, results: str) -> str:
    """Feed results, `+` and `-`; return the verdict after each, upper case where it changed."""
    verdict, seen = Verdict(settings), ""
    for result in results:
        has_changed = verdict.add(result == "+")
        letter = "w" if verdict.is_well else "b"
        seen += letter.upper() if has_changed else letter
    return seen


def test_two_in_a_row_change_it() -> None:
    assert told(CheckSettings(), "+-+--+-++-") == "wwwwBbbbWw"


def test_each_direction_has_its_own_number() -> None:
    assert told(CheckSettings(num_healthy=3, num_unhealthy=1), "-++-+++-") == "BbbbbbWB"


@pytest.mark.parametrize(
    ("statuses", "status", "is_expected"),
    [((), 200, True), ((), 399, True), ((), 400, False), ((), 199, False), ((401,), 401, True), ((401,), 200, False)],
)
def test_which_statuses_are_a_success(statuses: tuple[int, ...], status: int, is_expected: bool) -> None:
    assert CheckSettings(statuses=frozenset(statuses)).is_expected(status) is is_expected


def test_fields_of_the_cluster_go_before_our_own() -> None:
    fields = request_fields(Endpoint("a.example", 80), [(b"user-agent", b"probe"), (b"authorization", b"Bearer x")])
    assert fields == [
        (b"Host", b"a.example:80"),
        (b"Accept", b"*/*"),
        (b"Connection", b"close"),
        (b"user-agent", b"probe"),
        (b"authorization", b"Bearer x"),
    ]
