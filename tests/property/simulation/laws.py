"""What holds of every simulated world, read from what clients and endpoints saw. Numbers: docs/delivery-contract.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

from .client import Got
from .reading import is_own_error, is_stream, read_stream
from .upstream import Visit, token
from .world import History

LAWS: dict[str, Callable[[History], None]] = {}
GONE_S = 0.1  # within which attempts are aborted once their client has left
SILENCES = ("stalled", "silent", "first_event_timeout")
LAST_EVENT_S = 1.0  # how long a last event may take to leave


def law(function: Callable[[History], None]) -> Callable[[History], None]:
    """Add a law to those that every world is held to."""
    LAWS[function.__name__] = function
    return function


def visits_of(history: History, exchange: int) -> list[Visit]:
    """Return what the endpoints saw of one exchange, in order."""
    found = [visit for site in history.sites for visit in site.visits if visit.exchange == exchange]
    return sorted(found, key=lambda visit: visit.at)


def exchanges(history: History) -> Iterator[tuple[Got, list[Visit]]]:
    """Yield what each client got with what endpoints saw of it."""
    for got in history.got:
        yield got, visits_of(history, got.visitor.number)


def seconds(text: str) -> float:
    """Read a span of the configuration."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise AssertionError(text)


def deadline_s(history: History, got: Got) -> float:
    """Return how long an exchange may take."""
    route_s = seconds(history.scenario.options.get("deadline", "30s"))
    wish = dict(got.visitor.fields).get("X-Headgate-Deadline-Ms")
    return min(route_s, int(wish) / 1000) if wish else route_s


@law
def every_exchange_ends_exactly_once(history: History) -> None:
    """P1: one outcome for every client, whatever it got, and no crash."""
    assert not history.crashes, history.crashes[0]
    heard = Counter(number for number, _ in history.outcomes)
    came = {got.visitor.number for got in history.got if got.end != "left"}
    assert max(heard.values(), default=0) <= 1
    assert came <= set(heard)


@law
def nothing_is_left(history: History) -> None:
    assert not history.left


@law
def nothing_follows_an_answer(history: History) -> None:
    for got in history.got:
        assert not got.extra


@law
def who_stays_gets_an_answer_or_a_visible_break(history: History) -> None:
    for got in history.got:
        if got.end == "left":
            continue
        assert got.status or got.visitor.read_s, f"client {got.visitor.number} got nothing at all: {got.end}"
        if got.end == "whole" and is_stream(got) and got.status == 200:
            stream = read_stream(got.body)
            assert stream.is_done and not stream.errors and not stream.rest, got.body


@law
def a_whole_answer_is_one_that_somebody_gave(history: History) -> None:
    """P10: what is no stream comes byte for byte from one attempt, or from the gateway itself."""
    for got, visits in exchanges(history):
        if got.end == "whole" and not is_stream(got) and not is_own_error(got):
            assert got.body in [visit.body for visit in visits]
            assert got.status in [visit.fate.status for visit in visits]


@law
def a_cut_answer_begins_as_the_whole_one_would(history: History) -> None:
    """P11 of what is no stream."""
    for got, visits in exchanges(history):
        if got.end != "whole" and got.status == 200 and not is_stream(got):
            (author,) = [v for v in visits if got.fields["x-author"] == f"{v.site}/{v.number}"]
            assert author.whole.startswith(got.body)


@law
def a_stream_has_one_author_or_an_exact_continuation(history: History) -> None:
    """P10, P11: the tokens are those of one attempt from its first on, or our own tier's, continued without a seam."""
    for got, visits in exchanges(history):
        if got.status != 200 or not is_stream(got):
            continue
        stream, first = read_stream(got.body), got.fields["x-author"]
        own = first.partition(".")[0] in _own(history)
        assert stream.tokens == [token(own, first, index) for index in range(len(stream.tokens))]
        for author in dict.fromkeys(stream.authors):
            (visit,) = [v for v in visits if author == f"{v.site}/{v.number}"]
            # Without a token delivered there is nothing to continue: that is a new beginning.
            is_new = author == first or first not in stream.authors
            assert is_new == (visit.cursors == 0), "a continuation that nobody asked for"
        assert len(set(stream.authors)) <= 1 or own
        if own and not stream.errors:
            assert stream.ids == [f"c{index}" for index in range(len(stream.ids))]


def _own(history: History) -> set[str]:
    return {history.scenario.names[cluster] for cluster in history.scenario.own}


@law
def a_stream_is_complete_only_if_its_author_said_so(history: History) -> None:
    """P12, P13: no finish_reason that nobody gave, none twice, no clean end without one."""
    for got, visits in exchanges(history):
        if got.status != 200 or not is_stream(got):
            continue
        stream = read_stream(got.body)
        assert stream.is_ordered
        assert len(stream.finish_reasons) <= 1
        if stream.is_done:
            assert stream.finish_reasons == ["stop"]
            assert len(stream.tokens) == history.scenario.num_tokens
        if stream.finish_reasons:
            assert any(b'"stop"' in visit.body for visit in visits)


@law
def a_broken_stream_tells_one_error(history: History) -> None:
    """P12: one in-band error event, which a client can read, and no clean end; or a reset where there is no body."""
    for got in history.got:
        if got.end in ("cut", "reset") and got.status == 200 and is_stream(got):
            stream = read_stream(got.body)
            if got.visitor.read_s == 0.0:
                assert len(stream.errors) == 1, (got.end, got.body)
                assert not stream.rest
            assert not stream.is_done


@law
def no_event_is_unreadable(history: History) -> None:
    for got in history.got:
        if got.status == 200 and is_stream(got):
            assert read_stream(got.body).unreadable == 0


@law
def nothing_begins_after_the_deadline(history: History) -> None:
    """P2, P3: neither an attempt nor an answer."""
    for got, visits in exchanges(history):
        until = got.visitor.at + deadline_s(history, got)
        slow_s = _upload_s(got) + 20 * history.scenario.latency_s
        assert all(visit.at <= until + slow_s for visit in visits)
        if got.end != "left" and got.visitor.read_s == 0.0:
            assert got.ended_at <= until + slow_s + LAST_EVENT_S


def _upload_s(got: Got) -> float:
    return got.visitor.part_s * got.visitor.num_parts


@law
def attempts_are_bounded(history: History) -> None:
    for _, visits in exchanges(history):
        assert len(visits) <= history.scenario.options.get("max_attempts", 6)


@law
def what_may_not_be_sent_twice_is_sent_once(history: History) -> None:
    """P7: without leave, one endpoint at most sees any of the request."""
    replay = history.scenario.options.get("replay")
    for got, visits in exchanges(history):
        if replay == "never" or (replay == "idempotent" and got.visitor.method == "POST"):
            number = got.visitor.number
            assert len(visits) + sum(site.partial[number] for site in history.sites) <= 1


@law
def every_endpoint_gets_the_whole_request(history: History) -> None:
    for got, visits in exchanges(history):
        for visit in visits:
            request = visit.request
            assert (request["method"], request["target"]) == (got.visitor.method, got.visitor.path)
            if request["body"] != got.visitor.body:
                body = json.loads(request["body"])
                assert body.pop("headgate_resume") == [f"c{index}" for index in range(visit.cursors)]
                assert body == json.loads(got.visitor.body)
            left_s = int(request["fields"]["x-headgate-deadline-ms"]) / 1000
            assert left_s <= deadline_s(history, got)


@law
def without_fallback_one_target_is_asked(history: History) -> None:
    """P16."""
    for got, visits in exchanges(history):
        if dict(got.visitor.fields).get("X-Headgate-Fallback") == "off":
            assert {visit.site.partition(".")[0] for visit in visits} <= {history.scenario.names[0]}


@law
def a_refusal_that_is_the_clients_own_is_passed_on(history: History) -> None:
    """P9: after one nobody else is asked, but for those that run beside it."""
    for got, visits in exchanges(history):
        own = [v for v in visits if v.fate.status in (400, 401, 404, 413, 422) and v.ended == "whole" and not v.cursors]
        if own and got.end != "left":
            first = min(own, key=lambda visit: visit.ended_at)
            late_s = 10 * history.scenario.latency_s
            later = [v for v in visits if v.at > first.ended_at + late_s and v is not first]
            assert not later or _is_hedged(history)


def _is_hedged(history: History) -> bool:
    return "hedge" in history.scenario.options


@law
def who_leaves_is_left_alone(history: History) -> None:
    """P14: attempts end within a moment, and none begins."""
    for got, visits in exchanges(history):
        if got.end == "left":
            for visit in visits:
                moment = got.ended_at + GONE_S + 10 * history.scenario.latency_s
                assert visit.at <= moment, "an attempt for a client that had left"
                assert visit.ended, f"{visit.site}/{visit.number} still runs"
                assert visit.ended_at <= moment, f"aborted {visit.ended_at - got.ended_at} s late"


@law
def whoever_is_named_has_answered(history: History) -> None:
    for got, visits in exchanges(history):
        if got.status == 200 and "x-headgate-target" in got.fields:
            target = got.fields["x-headgate-target"]
            assert got.fields["x-author"].partition(".")[0] == target
            is_fallback = target != history.scenario.names[0]
            assert (got.fields.get("x-headgate-fallback") == "true") == is_fallback
            assert len(visits) <= int(got.fields["x-headgate-attempts"]) or len(visits) <= 6


@law
def who_waits_to_be_read_is_not_silent(history: History) -> None:
    """Silence counts while somebody listens: a client that reads slowly keeps the gateway from that."""
    failures = {number: outcome.failures for number, outcome in history.outcomes}
    for got, visits in exchanges(history):
        waiting = {visit.site.partition(".")[0] for visit in visits if visit.is_waiting}
        blamed = {target for target, why in failures.get(got.visitor.number, ()) if why.startswith(SILENCES)}
        silent = {visit.site.partition(".")[0] for visit in visits if not visit.is_waiting and visit.ended == "aborted"}
        assert not (blamed & waiting) - silent, f"{blamed & waiting} waited to be read"


@law
def a_good_answer_is_no_failure(history: History) -> None:
    """Nor is that of a hedge which comes too late."""
    for _, outcome in history.outcomes:
        assert not [reason for _, reason in outcome.failures if reason.startswith("status 2")], outcome.failures
