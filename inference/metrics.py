"""Counters of the server in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "headgate_inference_"
_FIRST_TOKEN_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DURATION_BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Histogram:
    """Counts of observed seconds under fixed bounds."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, value_s: float) -> None:
        """Count one value."""
        self._counts[sum(value_s > bound for bound in self._bounds_s)] += 1
        self._sum_s += value_s

    def render(self, name: str) -> Iterator[str]:
        """Give the lines of this histogram."""
        total = 0
        for bound, count in zip((*self._bounds_s, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum_s:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """What the server counts by itself; what the worker knows is passed in to `render`."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.aborted = 0
        self.resumed = 0
        self.prompt_tokens = 0
        self.first_token = Histogram(_FIRST_TOKEN_BOUNDS_S)
        self.duration = Histogram(_DURATION_BOUNDS_S)

    def render(self, generated_tokens: int, replayed_tokens: int, gauges: Mapping[str, int]) -> str:
        """Give the whole page."""
        return "\n".join(self._lines(generated_tokens, replayed_tokens, gauges)) + "\n"

    def _lines(self, generated_tokens: int, replayed_tokens: int, gauges: Mapping[str, int]) -> Iterator[str]:
        yield from _head("requests_total", "counter", "Answered requests by endpoint and status.")
        for (endpoint, status), count in sorted(self.requests.items()):
            yield f'{_PREFIX}requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
        counters = {
            "requests_aborted_total": ("Requests whose client left before the answer was complete.", self.aborted),
            "requests_resumed_total": ("Requests to go on with a stream that was cut.", self.resumed),
            "prompt_tokens_total": ("Tokens of accepted prompts.", self.prompt_tokens),
            "generation_tokens_total": ("Generated tokens, without replayed ones.", generated_tokens),
            "replayed_tokens_total": ("Delivered tokens that were run again to go on after them.", replayed_tokens),
        }
        for name, (text, value) in counters.items():
            yield from _head(name, "counter", text)
            yield f"{_PREFIX}{name} {value}"
        for name, value in gauges.items():
            yield from _head(name, "gauge", f"Requests {name.removeprefix('requests_')} now.")
            yield f"{_PREFIX}{name} {value}"
        yield from _head("time_to_first_token_seconds", "histogram", "From a request's head to its first token.")
        yield from self.first_token.render(f"{_PREFIX}time_to_first_token_seconds")
        yield from _head("request_seconds", "histogram", "From a request's head to the end of its answer.")
        yield from self.duration.render(f"{_PREFIX}request_seconds")


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {text}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
