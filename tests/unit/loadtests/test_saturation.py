"""What was used up first, of made-up samples."""

from __future__ import annotations

import pytest

from loadtests.metrics import NOTHING
from loadtests.resources import GENERATOR, MACHINE, OTHERS, Bounds, busiest, in_use
from loadtests.sampling import Sample
from loadtests.saturation import used_up
from loadtests.stand import TierSpec
from loadtests.tier import State

BOUNDS = Bounds({"heavy": TierSpec(slots=4, queue=8, service_ms=50)}, {"heavy": 8}, num_cores=2)


def steady(*shares: float) -> list[tuple[float, float]]:
    """Shares, one each half second."""
    return [((number + 1) * 0.5, share) for number, share in enumerate(shares)]


def test_the_first_that_stays_full_is_named() -> None:
    found = used_up(
        {
            "gateway CPU": steady(0.3, 0.5, 0.7, 0.95, 0.95, 0.95, 0.95),
            "heavy slots": steady(0.5, 0.95, 1.0, 1.0, 0.9, 1.0, 1.0),
            "lite slots": steady(0.1, 0.1, 0.1, 0.3, 0.3, 0.4, 0.5),
        }
    )
    assert found.first == "heavy slots"
    assert [one.name for one in found.found] == ["heavy slots", "gateway CPU"]
    assert found.found[0].at_s == 0.5  # from the beginning of the first full half second
    first, second, evidence = found.sentences()
    assert first == "heavy slots was used up first: 98% in use from 0.5 s on."
    assert second == "Then gateway CPU, from 1.5 s on."
    assert evidence == "Most seen of each: heavy slots 100%, gateway CPU 95%, lite slots 50%."


def test_a_peak_is_not_enough() -> None:
    found = used_up({"heavy slots": steady(0.5, 1.0, 1.0, 0.5, 1.0, 1.0, 0.89, 1.0)})
    assert found.first == "" and found.found == ()
    assert found.sentences()[0].startswith("Nothing was used up for 1.5 s")
    assert found.most == {"heavy slots": 1.0}


def test_of_two_at_once_the_fuller_one_is_first() -> None:
    found = used_up({"heavy slots": steady(0.91, 0.91, 0.91), "heavy pool": steady(1.0, 1.0, 1.0)})
    assert found.first == "heavy pool"
    assert used_up({}).first == ""


def sample(at_s: float, cpu_s: dict[str, float], machine_s: float, state: State | None) -> Sample:
    tiers = {} if state is None else {"heavy": state}
    return Sample(at_s, cpu_s, machine_s, rss_kib=1, tiers=tiers, metrics=NOTHING)


def test_shares_are_of_what_passed_between_two_looks() -> None:
    before = sample(1.0, {"gateway": 10.0, "generator": 5.0}, 50.0, State(4, busy_s=7.0, waiting_s=3.0, at_s=100.0))
    after = sample(2.0, {"gateway": 10.5, "generator": 5.2}, 51.0, State(4, busy_s=9.0, waiting_s=5.0, at_s=101.0))
    found = {name: values for name, values in in_use([before, after], BOUNDS).items()}
    assert {name: share for name, ((at_s, share),) in found.items() if at_s == 2.0} == pytest.approx(
        {
            "gateway CPU": 0.5,
            GENERATOR: 0.2,
            MACHINE: 0.5,
            OTHERS: 0.15,  # of two cores one was at work, 0.7 of it for us
            "heavy slots": 0.5,
            "heavy queue": 0.25,
            "heavy pool": 0.5,
        }
    )


def test_a_tier_that_was_dead_or_began_anew_has_no_share() -> None:
    alive = State(4, received=10, busy_s=7.0, at_s=100.0)
    young = State(4, received=1, busy_s=0.1, at_s=101.0)
    for first, second in ((alive, None), (None, young), (alive, young)):
        found = in_use([sample(1, {"heavy": 3.0}, 1, first), sample(2, {"heavy": 0.5}, 2, second)], BOUNDS)
        assert "heavy slots" not in found and "heavy CPU" not in found


def test_the_busiest_window_counts() -> None:
    quiet, busy = [(float(n), 0.1) for n in range(10)], [(float(n), 0.9) for n in range(10, 15)]
    assert busiest([*quiet, *busy, (15.0, 0.1)], 5) == pytest.approx(0.9)
    assert busiest([*quiet, (10.0, 1.0)], 5) == pytest.approx(0.28)
    assert busiest([(1.0, 0.5), (2.0, 0.7)], 5) == pytest.approx(0.6)
    assert busiest([], 5) == 0.0
