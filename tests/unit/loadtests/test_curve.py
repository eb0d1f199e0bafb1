"""When requests come."""

from __future__ import annotations

from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.shapes.curve import Curve, constant, joined
from loadtests.shapes.ramp import ramp
from loadtests.shapes.spike import spike
from loadtests.shapes.staircase import Staircase


class Even(Random):
    """Draws the mean each time: arrivals come where one more is due."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 1 / lambd


def test_a_constant_rate_comes_at_equal_distances() -> None:
    assert list(constant(4, 2).arrivals(Even())) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])


def test_of_many_clients_each_comes_for_its_share() -> None:
    assert list(constant(4, 2).arrivals(Even(), share=0.25)) == pytest.approx([1.0, 2.0])


def test_a_ramp_comes_denser_and_denser() -> None:
    shape = ramp(10, 4)
    assert [shape.rate(at) for at in (0, 1, 2, 3, 4)] == [0, 5, 10, 10, 0]
    assert shape.count(2) == pytest.approx(10) and shape.count(4) == pytest.approx(30)
    # 5 t² / 2 = n
    assert list(islice(shape.arrivals(Even()), 3)) == pytest.approx([(2 * n / 5) ** 0.5 for n in (1, 2, 3)])


def test_a_spike_comes_and_goes_at_once() -> None:
    shape = spike(1, 9, 10, (4, 6))
    assert [shape.rate(at) for at in (3.99, 4, 5.99, 6)] == [1, 9, 9, 1]
    assert shape.count(10) == pytest.approx(8 + 18)
    inside = [at for at in shape.arrivals(Even()) if 4 < at <= 6]
    assert len(inside) == 18


def test_a_spike_outside_of_the_time_is_refused() -> None:
    with pytest.raises(ValueError, match="inside 10 s"):
        spike(1, 9, 10, (4, 10))


def test_a_staircase_grows_by_one_factor() -> None:
    stairs = Staircase(10, 80, 4, 8)
    assert [(step.begin_s, step.end_s) for step in stairs.steps()] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert [step.rate for step in stairs.steps()] == pytest.approx([10, 20, 40, 80])
    assert stairs.curve().count(8) == pytest.approx(2 * (10 + 20 + 40 + 80))
    assert [stairs.curve().rate(step.begin_s) for step in stairs.steps()] == [step.rate for step in stairs.steps()]


@pytest.mark.parametrize("stairs", [Staircase(10, 80, 1, 8), Staircase(0, 80, 4, 8), Staircase(80, 10, 4, 8)])
def test_a_staircase_that_does_not_go_up_is_refused(stairs: Staircase) -> None:
    with pytest.raises(ValueError, match="two or more steps up"):
        stairs.steps()


@pytest.mark.parametrize("points", [((0.0, 1.0),), ((1.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (1.0, -1.0))])
def test_a_curve_needs_points_in_order_and_no_rate_below_zero(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="two or more points"):
        Curve(points)


_PARTS = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 50)), min_size=1, max_size=5)


@given(_PARTS, st.floats(0.01, 1))
def test_as_many_come_as_the_area_says(parts: list[tuple[float, float]], share: float) -> None:
    shape = joined(parts)
    found = list(shape.arrivals(Even(), share))
    area = share * sum(seconds * rate for seconds, rate in parts)
    assert abs(len(found) - area) <= 1 + 1e-6
    assert found == sorted(found)
    assert all(0 <= at <= shape.end_s + 1e-6 for at in found)


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000).map(lambda ms: ms / 1000), st.floats(0, 50)),
        min_size=2,
        max_size=5,
        unique_by=lambda one: one[0],
    )
)
def test_the_nth_comes_where_the_area_is_n(points: list[tuple[float, float]]) -> None:
    shape = Curve(tuple(sorted(points)))
    for number, at in enumerate(islice(shape.arrivals(Even()), 200), 1):
        assert shape.count(at) == pytest.approx(number, abs=1e-3)


def test_chance_decides_the_distances_and_the_seed_decides_chance() -> None:
    shape = constant(100, 50)
    first, again, other = (list(shape.arrivals(Random(seed))) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == pytest.approx(5000, rel=0.06)  # four standard deviations
    gaps = [after - before for before, after in pairwise(first)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread == pytest.approx(mean, rel=0.1)  # as of a Poisson process
