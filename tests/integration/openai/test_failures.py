"""What upstreams do wrong, or say, as the openai client's exceptions."""

from __future__ import annotations

import socket
import threading

import openai
import pytest

from ...upstream import Call, Script
from .conftest import Scripted
from .scripts import (
    TEXT,
    cut_short,
    error_event,
    error_event_first,
    good,
    malformed,
    refuse,
    reset,
    silent,
    stall,
)
from .ways import STREAMED, WAYS, WHOLE, Door, Way

CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    413: openai.APIStatusError,
    418: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
    529: openai.InternalServerError,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", CLASSES)
def test_what_the_upstream_says_reaches_the_client(scripted: Scripted, way: Way, status: int) -> None:
    scripted.upstream.script = refuse(status, "Retry-After: 30", "X-Request-Id: theirs")
    with pytest.raises(openai.APIStatusError) as caught:
        way(scripted.door(), model="m")
    error = caught.value
    assert type(error) is CLASSES[status]
    assert error.status_code == status
    assert (error.code, error.type, error.param) == ("their_code", "their_type", "their_param")
    assert f"refused with {status}" in error.message
    assert error.response.headers["retry-after"] == "30"
    assert error.response.headers["x-headgate-target"] == "up/m"
    assert error.request_id not in (None, "theirs")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("script", "model", "status", "code"),
    [
        (good, "dead", 502, "connect_failed"),
        (reset, "m", 502, "reset"),
        (malformed, "m", 502, "malformed_answer"),
        (silent, "hasty", 504, "silent"),
    ],
)
def test_no_answer_is_a_typed_server_error(
    scripted: Scripted, way: Way, script: Script, model: str, status: int, code: str
) -> None:
    scripted.upstream.script = script
    with pytest.raises(openai.InternalServerError) as caught:
        way(scripted.door(), model=model)
    assert type(caught.value) is openai.InternalServerError
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (status, code, "upstream_error")
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


@pytest.mark.parametrize("way", WAYS)
def test_a_deadline_of_the_clients_own(scripted: Scripted, way: Way) -> None:
    scripted.upstream.script = silent
    with pytest.raises(openai.InternalServerError) as caught:
        way(scripted.door(), model="m", extra_headers={"x-headgate-deadline-ms": "150"})
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (504, "deadline", "timeout_error")


@pytest.mark.parametrize("way", STREAMED)
def test_an_error_as_first_event_is_no_stream(scripted: Scripted, way: Way) -> None:
    scripted.upstream.script = error_event_first
    with pytest.raises(openai.InternalServerError) as caught:
        way(scripted.door(), model="m")
    assert (caught.value.status_code, caught.value.code) == (502, "error_event")


@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize(("script", "code"), [(cut_short, "truncated"), (stall, "stalled")])
def test_a_stream_that_breaks_raises_after_what_came(scripted: Scripted, way: Way, script: Script, code: str) -> None:
    scripted.upstream.script = script
    with pytest.raises(openai.APIError) as caught:
        way(scripted.door(), model="m", extra_headers={"x-request-id": "broken-stream"})
    error = caught.value
    assert type(error) is openai.APIError
    assert (error.code, error.type) == (code, "upstream_error")
    assert error.message
    assert isinstance(error.body, dict) and error.body["request_id"] == "broken-stream"
    assert error.__notes__ == [TEXT[:2]]
    assert len(scripted.upstream.calls) == 1


@pytest.mark.parametrize("way", STREAMED)
def test_an_error_event_inside_a_stream_raises_with_the_upstreams_words(scripted: Scripted, way: Way) -> None:
    has_begun = threading.Event()
    scripted.upstream.script = error_event(has_begun)
    with pytest.raises(openai.APIError) as caught:
        way(scripted.door(on_piece=lambda piece: has_begun.set()), model="m")
    assert (caught.value.code, caught.value.message) == ("their_code", "out of memory")
    assert caught.value.__notes__ == [TEXT[:2]]


@pytest.mark.parametrize("way", WHOLE)
def test_a_whole_answer_cut_short_is_never_taken_for_complete(scripted: Scripted, way: Way) -> None:
    scripted.upstream.script = cut_short
    with pytest.raises(openai.APIConnectionError):
        way(scripted.door(), model="m")


@pytest.mark.parametrize("way", WAYS)
def test_a_clients_timeout_ends_the_upstreams_work(scripted: Scripted, way: Way) -> None:
    is_gone = threading.Event()

    async def watch(call: Call) -> None:
        await call.gone()
        is_gone.set()
        raise ConnectionError

    scripted.upstream.script = watch
    with pytest.raises(openai.APITimeoutError):
        way(scripted.door(timeout_s=0.5), model="m")
    assert is_gone.wait(10)


@pytest.mark.parametrize("way", WAYS)
def test_no_gateway_is_a_connection_error(way: Way) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        with pytest.raises(openai.APIConnectionError) as caught:
            way(Door(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1", "any"), model="m")
    assert type(caught.value) is openai.APIConnectionError


@pytest.mark.parametrize("way", WAYS)
def test_after_every_failure_the_gateway_answers_well(scripted: Scripted, way: Way) -> None:
    scripted.upstream.script = good
    assert way(scripted.door(), model="m") == TEXT
