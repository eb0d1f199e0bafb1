"""What the observer counts through tallies is what counting each metric by itself would give."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.arena import Arena, Shared
from headgate.proxy.observe.metrics import Counter, Histogram, Registry
from headgate.proxy.observe.observer import MAX_TALLIES, Observer
from headgate.proxy.verdicts import Outcome

from .test_observer import Nobody

TARGETS = st.sampled_from(("heavy/v3", "lite"))
ENDS = st.lists(st.tuples(TARGETS, st.sampled_from(("answered", "silent", "status 503"))), max_size=2).map(tuple)
TOKENS = st.none() | st.integers(0, 10_000)
SPANS_S = st.floats(0, 200)
OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from((200, 404, 502)),
    error=st.none() | st.sampled_from(("silent", "rate_limited")),
    detail=st.just(""),
    target=st.none() | TARGETS,
    attempts=st.integers(0, 3),
    is_fallback=st.booleans(),
    cache=st.none() | st.sampled_from(("hit", "miss")),
    received_bytes=st.integers(0, 2**40),
    sent_bytes=st.integers(0, 2**40),
    duration_s=SPANS_S,
    first_byte_s=st.none() | SPANS_S,
    model=st.none(),
    prompt_tokens=TOKENS,
    completion_tokens=TOKENS,
    is_client_gone=st.booleans(),
    is_streamed=st.booleans(),
    preferred=st.none() | TARGETS,
    failures=st.lists(st.tuples(TARGETS, st.just("reset: by peer")), max_size=2).map(tuple),
    ends=ENDS,
)
WAYS = st.sampled_from(("inline", "taken_over", "reference"))
EXCHANGES = st.lists(st.tuples(OUTCOMES, st.sampled_from(("", "chat")), st.booleans(), WAYS), max_size=12)


def exchange_of(route: str, is_inference: bool, path: str = "/v1/chat/completions") -> Exchange:
    body = ClientBody(None, None, Nobody(), 1.0)
    request = Request("POST", path, path, "", "a", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    exchange = Exchange(request, "id", lambda: 0.0)
    exchange.route = RouteView(route, (), {}, is_inference, 0)
    return exchange


class OneByOne:
    """Counts an exchange metric by metric, as the names and labels of the documents say."""

    def __init__(self, registry: Registry) -> None:
        Observer(registry, AccessLog("off"))
        self._metrics = {metric.name: metric for metric in registry._metrics.values()}

    def ended(self, outcome: Outcome, route: str, is_inference: bool, way: str) -> None:
        served = self._metrics["headgate_served"]
        assert isinstance(served, Counter)
        served.add(way)
        for name, amount, labels in self._counts(outcome, route or "none"):
            counter = self._metrics[f"headgate_{name}"]
            assert isinstance(counter, Counter)
            counter.add(*labels, amount=amount)
        for name, value, labels in self._values(outcome, route or "none", is_inference):
            histogram = self._metrics[name]
            assert isinstance(histogram, Histogram)
            histogram.observe(value, *labels)

    def _counts(self, outcome: Outcome, route: str) -> Iterator[tuple[str, float, tuple[str, ...]]]:
        yield "requests", 1, (route, str(outcome.status))
        yield "bytes", outcome.received_bytes, (route, "received")
        yield "bytes", outcome.sent_bytes, (route, "sent")
        yield from (("attempts", 1, end) for end in outcome.ends)
        if outcome.cache is not None:
            yield "cache_ops", 1, (route, outcome.cache)
        if outcome.is_client_gone:
            yield "client_gone", 1, (route,)
        if outcome.error is not None:
            source = {"silent": "upstream", "rate_limited": "downstream"}[outcome.error]
            yield "errors", 1, (route, outcome.error, source)
        if outcome.target is None:
            return
        if outcome.prompt_tokens is not None:
            yield "tokens", outcome.prompt_tokens, (outcome.target, "input")
        if outcome.completion_tokens is not None:
            yield "tokens", outcome.completion_tokens, (outcome.target, "output")
        if outcome.is_fallback and outcome.preferred is not None:
            is_failed = any(name != outcome.target for name, _ in outcome.failures)
            reason = "reset" if is_failed else "breaker_open"
            yield "fallback", 1, (outcome.preferred, outcome.target, reason)

    def _values(self, outcome: Outcome, route: str, is_inference: bool) -> Iterator[tuple[str, float, tuple[str, ...]]]:
        yield "headgate_request_duration_seconds", outcome.duration_s, (route,)
        if outcome.first_byte_s is not None:
            yield "headgate_time_to_first_byte_seconds", outcome.first_byte_s, (route,)
        if outcome.target is None or not is_inference:
            return
        labels = ("chat", *{"heavy/v3": ("heavy", "v3"), "lite": ("lite", "unset")}[outcome.target])
        yield "gen_ai_client_operation_duration_seconds", outcome.duration_s, (*labels, outcome.error or "")
        if outcome.is_streamed and outcome.first_byte_s is not None:
            yield "gen_ai_client_operation_time_to_first_chunk_seconds", outcome.first_byte_s, labels
        if outcome.prompt_tokens is not None:
            yield "gen_ai_client_token_usage", outcome.prompt_tokens, (*labels, "input")
        if outcome.completion_tokens is not None:
            yield "gen_ai_client_token_usage", outcome.completion_tokens, (*labels, "output")


@given(EXCHANGES, st.booleans())
def test_tallies_count_what_each_metric_by_itself_would(
    exchanges: list[tuple[Outcome, str, bool, str]], is_shared: bool
) -> None:
    arenas = [Arena(memoryview(bytearray(1 << 20)))]
    registry, wanted = Registry(Shared(arenas, 0) if is_shared else None), Registry()
    observer, one_by_one = Observer(registry, AccessLog("off")), OneByOne(wanted)
    for outcome, route, is_inference, way in exchanges:
        observer.ended(exchange_of(route, is_inference), outcome, way)
        one_by_one.ended(outcome, route, is_inference, way)
    assert sorted(registry.render().splitlines()) == sorted(wanted.render().splitlines())


def test_tallies_are_bounded_and_nothing_is_lost_over_that() -> None:
    observer = Observer(Registry(), AccessLog("off"))
    num = MAX_TALLIES + 100
    for number in range(num):
        ends = ((f"target-{number}", "answered"),)
        observer.ended(
            exchange_of("chat", False),
            Outcome(200, None, "", None, 1, False, None, 1, 2, 0.5, None, None, None, None, False, ends=ends),
        )
        assert len(observer._tallies) <= MAX_TALLIES
    lines = observer.registry.render().decode().splitlines()
    assert f'headgate_requests_total{{route="chat",status="200"}} {num}' in lines
    assert f'headgate_attempts_total{{target="other",outcome="other"}} {num - 1000}' in lines
