"""Errors as clients see them."""

from __future__ import annotations

import json

import pytest

from headgate.ext.sse import EventKind, EventScanner, StreamState, error_of
from headgate.proxy.error_answer import error_event, error_response
from headgate.proxy.errors import KINDS, GatewayError


@pytest.mark.parametrize("kind", KINDS)
def test_under_v1_every_error_has_openais_shape(kind: str) -> None:
    answer = error_response(GatewayError(kind, "a secret detail"), "request-1", "/v1/chat/completions")
    assert answer.status == KINDS[kind].status
    assert answer.fields["content-type"] == "application/json"
    assert isinstance(answer.body, bytes) and len(answer.body) == answer.length
    error = json.loads(answer.body)["error"]
    assert error == {
        "message": KINDS[kind].message,
        "type": KINDS[kind].error_type,
        "param": None,
        "code": kind,
        "request_id": "request-1",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_elsewhere_every_error_is_a_problem(kind: str) -> None:
    """RFC 9457 §3.1."""
    answer = error_response(GatewayError(kind, "a secret detail"), "request-1", "/v2")
    assert answer.fields["content-type"] == "application/problem+json"
    assert isinstance(answer.body, bytes) and len(answer.body) == answer.length
    assert json.loads(answer.body) == {
        "type": f"urn:headgate:error:{kind}",
        "title": KINDS[kind].message,
        "status": KINDS[kind].status,
        "detail": KINDS[kind].message,
        "request_id": "request-1",
    }


@pytest.mark.parametrize(
    ("path", "is_openai"), [("/v1", True), ("/v1/", True), ("/v10", False), ("", False), ("/", False)]
)
def test_where_openais_shape_begins(path: str, is_openai: bool) -> None:
    answer = error_response(GatewayError("busy"), "request-1", path)
    assert (answer.fields["content-type"] == "application/json") is is_openai


def test_public_words_and_fields_are_added() -> None:
    error = GatewayError("rate_limited", "secret", public="slow down", fields=((b"Retry-After", b"7"),))
    answer = error_response(error, "request-1", "/v1/x")
    assert answer.fields["retry-after"] == "7"
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["error"]["message"] == "slow down"
    assert b"secret" not in answer.body


def test_what_a_client_said_may_be_repeated_whatever_it_is() -> None:
    for public in ("\ud800", "\x00\n", "\u2028"):
        for path in ("/v1", "/"):
            body = error_response(GatewayError("model_not_found", public=public), "request-1", path).body
            assert isinstance(body, bytes)
            assert json.loads(body)


def test_the_event_that_ends_a_stream_is_one_whole_error_event() -> None:
    event = error_event(GatewayError("truncated"), "request-1")
    (told,) = EventScanner().feed(event)
    assert told.raw == event
    assert StreamState().see(told) is EventKind.ERROR
    assert error_of(told) == ("upstream_error", "truncated", "the answer was cut short")
