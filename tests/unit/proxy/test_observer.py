"""What is counted of an exchange."""

from __future__ import annotations

from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.verdicts import Outcome


class Nobody:
    """A client that waits for nothing."""

    def send_continue(self) -> None:
        """Nobody waits."""

    def skip_continue(self) -> None:
        """Nobody waited."""


def ended(
    failures: tuple[tuple[str, str], ...], target: str | None, error: str | None = None, *more: tuple[str, str]
) -> str:
    """Count one exchange, and return what is counted; `more` are attempts that ended otherwise."""
    observer = Observer(Registry(), AccessLog("off"))
    body = ClientBody(None, None, Nobody(), 1.0)
    request = Request("GET", "/", "/", "", "a", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    exchange = Exchange(request, "id", lambda: 0.0)
    ends = [(name, reason.partition(":")[0]) for name, reason in failures]
    ends += [(target, "answered")] if target is not None else []
    is_fallback = bool(failures) and target is not None
    observer.ended(
        exchange,
        Outcome(
            200,
            error,
            "",
            target,
            len(ends) + len(more),
            is_fallback,
            None,
            1,
            2,
            0.5,
            0.1,
            "m",
            3,
            4,
            False,
            failures,
            preferred="heavy/a",
            ends=(*ends, *more),
        ),
    )
    return observer.registry.render().decode()


def test_a_fallback_is_counted_with_where_from_where_to_and_why() -> None:
    text = ended((("heavy/a", "status 503"), ("heavy/a", "reset: closed by peer")), "lite/b")
    assert 'headgate_fallback_total{from="heavy/a",to="lite/b",reason="reset"} 1' in text
    assert 'headgate_attempts_total{target="heavy/a",outcome="status 503"} 1' in text
    assert 'headgate_attempts_total{target="heavy/a",outcome="reset"} 1' in text
    assert 'headgate_attempts_total{target="lite/b",outcome="answered"} 1' in text
    assert 'headgate_tokens_total{target="lite/b",type="output"} 4' in text


def test_an_exchange_that_nobody_answered_counts_its_attempts_and_its_error() -> None:
    text = ended((("heavy", "silent"),), None, "silent")
    assert 'headgate_attempts_total{target="heavy",outcome="silent"} 1' in text
    assert 'headgate_errors_total{route="none",error="silent",source="upstream"} 1' in text
    assert "headgate_fallback_total{" not in text


def test_attempts_that_were_given_up_are_counted_too() -> None:
    text = ended((), "lite", None, ("heavy", "abandoned"))
    assert 'headgate_attempts_total{target="heavy",outcome="abandoned"} 1' in text
    assert 'headgate_attempts_total{target="lite",outcome="answered"} 1' in text


def test_a_fallback_without_a_failure_of_its_own_is_counted_too() -> None:
    observer = Observer(Registry(), AccessLog("off"))
    body = ClientBody(None, None, Nobody(), 1.0)
    request = Request("GET", "/", "/", "", "a", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    outcome = Outcome(200, None, "", "lite/b", 1, True, None, 1, 2, 0.5, 0.1, "m", 3, 4, False, preferred="heavy/a")
    observer.ended(Exchange(request, "id", lambda: 0.0), outcome)
    text = observer.registry.render().decode()
    assert 'headgate_fallback_total{from="heavy/a",to="lite/b",reason="breaker_open"} 1' in text
