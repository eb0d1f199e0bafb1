"""The scenarios: files that the gateway takes, thresholds that are looked at, figures that can fail."""

from __future__ import annotations

import json

import pytest

from bench import governed
from headgate.proxy.config.load import check
from headgate.proxy.plugin_types import PluginTypes
from loadtests.crowd import Crowd, Load, dump, parse
from loadtests.metrics import Metrics
from loadtests.records import LIMITED
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.floods import KEY_BURST, KEY_RATE, admitted_of_limit, over_limit
from loadtests.scenarios.scenario import ALWAYS, Scenario
from loadtests.shapes.curve import constant
from loadtests.stand import TOKEN, TOKEN_VARIABLE, placed

from .made_up import record

SECRETS = {governed.PEPPER_VARIABLE: governed.PEPPER, TOKEN_VARIABLE: TOKEN}

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


@every_scenario
def test_the_gateway_takes_the_file_without_a_warning(scenario: Scenario, tmp_path: object) -> None:
    text = scenario.config.read_text().replace(governed.KEYS_NAME, str(governed.EXAMPLES / governed.KEYS_NAME))
    assert check(text, PluginTypes().schemas(), SECRETS).warnings == ()


@every_scenario
def test_ports_are_put_into_the_file(scenario: Scenario) -> None:
    text = placed(scenario.config.read_text(), dict(zip(scenario.tiers, (4001, 4002), strict=True)))
    assert "127.0.0.1:4001" in text and "127.0.0.1:4002" in text
    assert ":8080" not in text and ":9001" not in text


def test_a_file_without_a_port_to_put_is_refused() -> None:
    with pytest.raises(ValueError, match="8080` once in the configuration, got it 0 times"):
        placed("listeners: []", {})


@every_scenario
def test_a_load_comes_through_its_file_as_it_was(scenario: Scenario) -> None:
    load = Load("http://127.0.0.1:1", scenario.crowds(scenario.seconds), scenario.seconds, scenario.seed)
    assert parse(json.loads(json.dumps(dump(load)))) == load
    assert max(crowd.curve.end_s for crowd in load.crowds) <= scenario.seconds


@every_scenario
def test_every_scenario_can_fail_and_always_wants_the_same(scenario: Scenario) -> None:
    names = [threshold.figure for threshold in scenario.thresholds]
    assert len(names) == len(set(names))
    assert scenario.thresholds[: len(ALWAYS)] == ALWAYS
    assert len(names) > len(ALWAYS) + 3
    assert scenario.least_seconds <= scenario.seconds


def test_all_scenarios_together_are_short() -> None:
    assert sum(scenario.seconds for scenario in SCENARIOS.values()) <= 270  # and a few seconds each to start


def test_a_crowd_of_an_unknown_kind_or_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of chat"):
        Crowd("crowd", constant(1, 1), (1,))
    with pytest.raises(ValueError, match="a key for each client"):
        Crowd("chat", constant(1, 1), ())


def test_a_limit_that_is_kept_is_kept() -> None:
    burst = [record(0.0, seconds=0.01) for _ in range(KEY_BURST)]
    then = [record(0.5 + n / KEY_RATE, seconds=0.01) for n in range(100)]
    refused = [record(0.2, outcome=LIMITED, status=429) for _ in range(1000)]
    assert over_limit([*burst, *then, *refused], KEY_RATE, KEY_BURST) == 0


def test_one_more_than_the_limit_shows() -> None:
    burst = [record(0.0, seconds=0.001) for _ in range(KEY_BURST + 3)]
    assert over_limit(burst, KEY_RATE, KEY_BURST) == pytest.approx(3 - 0.001 * KEY_RATE)


def test_many_more_over_a_long_time_show() -> None:
    many = [record(n / (2 * KEY_RATE), seconds=0.001) for n in range(400)]  # twice the rate for ten seconds
    assert over_limit(many, KEY_RATE, KEY_BURST) == pytest.approx(400 - KEY_BURST - KEY_RATE * 9.976, abs=0.1)


def test_what_was_on_its_way_for_long_excuses_the_limit() -> None:
    slow = [record(0.0, seconds=2.0) for _ in range(KEY_BURST + 2 * KEY_RATE)]
    assert over_limit(slow, KEY_RATE, KEY_BURST) == 0


def test_what_a_flood_got_is_compared_with_what_it_was_allowed_meanwhile() -> None:
    asked = [n / 250 for n in range(2500)]  # ten seconds
    allowed = KEY_BURST + KEY_RATE * 10
    admitted = {n * len(asked) // allowed for n in range(allowed)}
    flood = [
        record(at, seconds=0.001) if n in admitted else record(at, outcome=LIMITED, status=429, seconds=0.001)
        for n, at in enumerate(asked)
    ]
    assert admitted_of_limit(flood, KEY_RATE, KEY_BURST) == pytest.approx(1, abs=0.01)
    assert admitted_of_limit(flood[:1250], KEY_RATE, KEY_BURST) == pytest.approx(110 / 120, abs=0.01)
    assert admitted_of_limit([], KEY_RATE, KEY_BURST) == 0
    half = [one for n, one in enumerate(flood) if n not in set(sorted(admitted)[::2])]
    assert admitted_of_limit(half, KEY_RATE, KEY_BURST) == pytest.approx(0.5, abs=0.01)


def test_metrics_are_read_by_name_and_label() -> None:
    found = Metrics.parse(
        '# TYPE headgate_requests counter\nheadgate_requests_total{route="chat",status="200"} 7\n'
        'headgate_requests_total{route="pages",status="200"} 2.5\nheadgate_inflight 3\n# EOF\n'
    )
    assert found.total("headgate_requests_total") == 9.5
    assert found.total("headgate_requests_total", route="chat") == 7
    assert found.total("headgate_inflight") == 3
    assert found.total("headgate_requests_total", route="none") == 0 == found.total("nothing")
