"""Thresholds, invalid runs, and the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtests.slo import (
    GENERATOR_CORE_SHARE,
    INVALID,
    MISSED,
    PASSED,
    Soundness,
    Threshold,
    exit_code,
    judge,
    shown,
    why_invalid,
)

SOUND = Soundness(generator_share=0.5, others_share=0.1, late_ms=5, num_unsent=0)
P99 = Threshold("p99_ms", "p99", at_most=100, unit="ms")
OK = Threshold("ok", "right answers", at_least=0.99, unit="%")
NAN = float("nan")


@pytest.mark.parametrize(
    ("threshold", "value", "is_met"),
    [
        (P99, 100.0, True),
        (P99, 100.1, False),
        (OK, 0.99, True),
        (OK, 0.9899, False),
        (Threshold("x", "", at_least=1, at_most=2), 1.5, True),
        (Threshold("x", "", at_least=1, at_most=2), 2.5, False),
        (Threshold("x", "", at_least=1, at_most=2), 0.5, False),
        (P99, NAN, False),
        (OK, NAN, False),
    ],
)
def test_a_threshold_is_met_up_to_its_bound(threshold: Threshold, value: float, is_met: bool) -> None:
    (verdict,) = judge([threshold], {threshold.figure: value})
    assert verdict.is_met is is_met


def test_a_figure_that_is_missing_meets_nothing() -> None:
    (verdict,) = judge([P99], {"p50_ms": 1.0})
    assert verdict.seen is None and not verdict.is_met


def test_a_threshold_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="bound of 'x'"):
        Threshold("x", "")


def test_a_sound_run_is_valid() -> None:
    assert why_invalid(SOUND) == []
    assert why_invalid(replace(SOUND, generator_share=GENERATOR_CORE_SHARE)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"generator_share": 0.801}, "the generator used 80% of a core over 5 s, more than 80%"),
        ({"generator_share": NAN}, "the generator"),
        ({"others_share": 0.4}, "other programs used 40% of the machine, more than 25%"),
        ({"late_ms": 300.0}, "sent 300 ms late or more"),
        ({"num_unsent": 3}, "3 requests were not sent"),
    ],
)
def test_a_run_whose_load_was_not_what_it_should_be_is_invalid(changed: dict[str, float], said: str) -> None:
    (reason,) = why_invalid(replace(SOUND, **changed))  # type: ignore[arg-type]
    assert said in reason


def test_the_exit_code_says_the_worst() -> None:
    met, missed = judge([P99], {"p99_ms": 1}), judge([P99], {"p99_ms": 1000})
    assert exit_code([(met, []), (met, [])]) == PASSED == 0
    assert exit_code([(met, []), (missed, [])]) == MISSED == 1
    assert exit_code([(missed, []), (met, ["too busy"])]) == INVALID == 2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.985, "%", "98.5 %"), (123.456, "ms", "123.5 ms"), (3, "", "3"), (12345.6, "ms", "12346 ms")],
)
def test_figures_as_text(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_bound_as_text() -> None:
    assert P99.wanted() == "≤ 100 ms" and OK.wanted() == "≥ 99 %"
    assert Threshold("x", "", at_least=1, at_most=2).wanted() == "≥ 1 and ≤ 2"
