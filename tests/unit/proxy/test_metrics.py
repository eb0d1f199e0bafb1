"""Metrics as another program reads them: the OpenMetrics parser of prometheus_client."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headgate.proxy.observe.metrics import MAX_SERIES, Counter, Gauge, Histogram, Registry

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
amounts = st.integers(0, 2**60) | st.floats(0, 1e300)


def read(page: str) -> Iterator[Family]:
    families: Iterator[Family] = text_string_to_metric_families(page)  # type: ignore[no-untyped-call]
    return families


def families(registry: Registry) -> dict[str, Family]:
    return {family.name: family for family in read(registry.render().decode())}


def samples(registry: Registry, name: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in families(registry)[name].samples
    }


def test_an_empty_registry_is_a_whole_page() -> None:
    assert Registry().render() == b"# EOF\n"
    assert families(Registry()) == {}


# The parser takes a help text without the blanks around it.
@given(words.map(str.strip), st.lists(st.tuples(words, words, amounts), max_size=5))
def test_a_counter_reads_back_whatever_its_labels_say(help_text: str, added: list[tuple[str, str, float]]) -> None:
    registry = Registry()
    counter = registry.register(Counter("hits_total", help_text, ("one", "two")))
    totals: dict[tuple[str, str], float] = {}
    for one, two, amount in added:
        counter.add(one, two, amount=amount)
        totals[one, two] = totals.get((one, two), 0.0) + amount  # a 64-bit float, as every number here
    assert families(registry)["hits"].type == "counter"
    assert families(registry)["hits"].documentation == help_text
    found = samples(registry, "hits")
    assert found == {("hits_total", (("one", one), ("two", two))): total for (one, two), total in totals.items()}
    assert {(one, two): counter.value(one, two) for one, two in totals} == totals


@given(st.lists(st.floats(0, 1e6) | st.sampled_from((0.0, 0.1, 1.0, 5.0)), max_size=30))
def test_a_histogram_counts_each_value_in_every_bucket_that_holds_it(values: list[float]) -> None:
    registry = Registry()
    histogram = registry.register(Histogram("took_seconds", "", ("route",), (0.1, 1.0, 5.0)))
    for value in values:
        histogram.observe(value, "r")
    if not values:
        assert samples(registry, "took_seconds") == {}
        return
    found = samples(registry, "took_seconds")
    for bound in (0.1, 1.0, 5.0, math.inf):
        key = (("le", "+Inf" if bound == math.inf else str(bound)), ("route", "r"))
        assert found["took_seconds_bucket", key] == sum(value <= bound for value in values)
    assert found["took_seconds_count", (("route", "r"),)] == len(values)
    assert found["took_seconds_sum", (("route", "r"),)] == pytest.approx(sum(values))


@pytest.mark.parametrize("value", [0.0, -1.5, 1e300, 2.0**70, math.inf, -math.inf, math.nan, 0.1])
def test_a_gauge_shows_any_number_set_or_read(value: float) -> None:
    registry = Registry()
    gauge = registry.register(Gauge("level", "", ("how",)))
    gauge.set(value, "set")
    gauge.set(lambda: value, "read")
    for how in ("set", "read"):
        found = samples(registry, "level")["level", (("how", how),)]
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_a_gauge_changes_by_an_amount() -> None:
    registry = Registry()
    gauge = registry.register(Gauge("level", ""))
    gauge.add(2)
    gauge.add(-0.5)
    assert samples(registry, "level") == {("level", ()): 1.5}


def test_a_gauge_that_cannot_be_read_costs_the_others_nothing() -> None:
    def broken() -> float:
        raise RuntimeError("gone")

    registry = Registry()
    registry.register(Gauge("level", "", ("how",))).set(broken, "read")
    registry.register(Counter("hits", "")).add()
    assert samples(registry, "level") == {}
    assert samples(registry, "hits") == {("hits_total", ()): 1}


def test_label_sets_are_bounded_and_the_rest_is_counted_together() -> None:
    registry = Registry()
    counter = registry.register(Counter("hits", "", ("who",)))
    histogram = registry.register(Histogram("took", "", ("who",), (1.0,)))
    gauge = registry.register(Gauge("level", "", ("who",)))
    for number in range(MAX_SERIES + 50):
        counter.add(str(number))
        histogram.observe(0.5, str(number))
        gauge.set(1, str(number))
    counter.add("0")
    found = samples(registry, "hits")
    assert len(found) == len(samples(registry, "level")) == MAX_SERIES + 1
    assert found["hits_total", (("who", "other"),)] == 50
    assert found["hits_total", (("who", "0"),)] == 2
    assert samples(registry, "took")["took_count", (("who", "other"),)] == 50


def test_a_label_that_is_no_text_costs_the_others_nothing() -> None:
    registry = Registry()
    counter = registry.register(Counter("hits", "", ("who",)))
    counter.add("\ud800")
    counter.add(1)  # type: ignore[arg-type]
    assert set(samples(registry, "hits")) == {("hits_total", (("who", "?"),)), ("hits_total", (("who", "1"),))}


def test_a_name_stands_for_one_thing() -> None:
    registry = Registry()
    counter = registry.register(Counter("hits", "", ("a",)))
    assert registry.register(Counter("hits_total", "", ("a",))) is counter
    for other in (Gauge("hits", "", ("a",)), Counter("hits", "", ("b",)), Histogram("hits", "", ("a",))):
        with pytest.raises(ValueError, match="hits: registered before as counter"):
            registry.register(other)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Counter("hits", ""), Gauge("hits_total", "")),
        (Gauge("hits_total", ""), Counter("hits", "")),
        (Histogram("took", ""), Counter("took_count", "")),
        (Histogram("took", ""), Gauge("took_sum", "")),
        (Gauge("took_bucket", ""), Histogram("took", "")),
    ],
)
def test_two_metrics_whose_samples_would_be_confused_are_refused(
    first: Counter | Gauge | Histogram, second: Counter | Gauge | Histogram
) -> None:
    registry = Registry()
    registry.register(first)
    with pytest.raises(ValueError, match="registered before"):
        registry.register(second)


def test_wrong_uses_are_refused() -> None:
    counter = Counter("hits", "", ("a",))
    for amount in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError):
            counter.add("x", amount=amount)
    with pytest.raises(ValueError, match="expected 1 labels of hits, got 2"):
        counter.add("x", "y")
    with pytest.raises(ValueError, match="ascending"):
        Histogram("took", "", (), (1.0, 0.5))
    with pytest.raises(ValueError, match="le"):
        Histogram("took", "", ("le",))
    with pytest.raises(ValueError):
        Histogram("took", "").observe(math.nan)
    for name in ("", "1x", "a-b", "a b", "\u00e9"):
        with pytest.raises(ValueError, match="metric or label name"):
            Counter(name, "")
        with pytest.raises(ValueError, match="metric or label name"):
            Counter("hits", "", (name,))
