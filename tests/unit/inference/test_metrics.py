"""The page of counters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.metrics import Histogram, Metrics


@given(values=st.lists(st.floats(0, 100), max_size=30))
def test_histogram_buckets_count_what_is_not_above_them(values: list[float]) -> None:
    bounds = (0.5, 1.0, 50.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    counts = [int(line.rpartition(" ")[2]) for line in histogram.render("h") if "_bucket" in line]
    assert counts == [sum(value <= bound for value in values) for bound in bounds] + [len(values)]


def test_page_has_each_metric_once_with_its_type() -> None:
    metrics = Metrics()
    metrics.requests["chat", 200] += 2
    metrics.prompt_tokens = 7
    metrics.resumed = 3
    lines = metrics.render(11, 5, {"requests_running": 1, "requests_waiting": 0}).splitlines()
    types = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert len({name for name, _ in types}) == len(types)
    assert 'headgate_inference_requests_total{endpoint="chat",status="200"} 2' in lines
    assert "headgate_inference_prompt_tokens_total 7" in lines
    assert "headgate_inference_generation_tokens_total 11" in lines
    assert "headgate_inference_requests_resumed_total 3" in lines
    assert "headgate_inference_replayed_tokens_total 5" in lines
    assert "headgate_inference_requests_running 1" in lines
