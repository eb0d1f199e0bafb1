"""What the gateway itself refuses, as the openai client's exceptions."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import openai
import pytest

from ...upstream import Call
from .conftest import Scripted
from .scripts import TEXT, good
from .ways import MESSAGES, WAYS, Door, Way, whole


def refusal(way: Way, door: Door, model: str = "m", **asked: Any) -> openai.APIStatusError:
    """Ask, and return the error; it is of OpenAI's shape and names the request."""
    with pytest.raises(openai.APIStatusError) as caught:
        way(door, model=model, **asked)
    return checked(caught.value)


def checked(error: openai.APIStatusError) -> openai.APIStatusError:
    told = json.loads(error.response.content)["error"]
    assert told == error.body
    assert set(told) == {"message", "type", "param", "code", "request_id"}
    assert error.request_id and error.request_id == told["request_id"] == error.response.headers["x-request-id"]
    assert told["message"] in error.message
    return error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["wrong", "disabled", "expired", "hg_live_typo_00000000"])
def test_a_key_that_is_not_valid(scripted: Scripted, way: Way, key: str) -> None:
    error = refusal(way, scripted.door(key))
    assert type(error) is openai.AuthenticationError
    assert (error.status_code, error.type, error.code) == (401, "authentication_error", "unauthenticated")
    assert error.response.headers["www-authenticate"].startswith("Bearer")
    assert scripted.upstream.calls == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("key", "path"), [("only-models", "/v1"), ("no-scope", "/v1/scoped")])
def test_a_key_that_may_not_come_in_here(scripted: Scripted, way: Way, key: str, path: str) -> None:
    error = refusal(way, scripted.door(key, path))
    assert type(error) is openai.PermissionDeniedError
    assert (error.status_code, error.type, error.code) == (403, "permission_error", "forbidden")
    assert scripted.upstream.calls == []


@pytest.mark.parametrize("key", ["only-models", "no-scope"])
def test_the_same_keys_elsewhere(scripted: Scripted, key: str) -> None:
    scripted.upstream.script = good
    with scripted.door(key).sync() as client:
        assert len(client.models.list().data) == 4
    assert whole(scripted.door("no-scope"), model="m") == TEXT
    assert whole(scripted.door("full", "/v1/scoped"), model="m") == TEXT


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("key", "model"), [("full", "gpt-none"), ("only-m", "other")])
def test_a_model_that_is_unknown_or_not_for_this_key(scripted: Scripted, way: Way, key: str, model: str) -> None:
    error = refusal(way, scripted.door(key), model)
    assert type(error) is openai.NotFoundError
    assert (error.status_code, error.type, error.code) == (404, "invalid_request_error", "model_not_found")
    assert scripted.upstream.calls == []


def test_the_same_answer_for_a_model_unknown_and_one_not_allowed(scripted: Scripted) -> None:
    unknown, hidden = (refusal(whole, scripted.door("only-m"), name) for name in ("gpt-none", "other"))
    assert "gpt-none" in unknown.message
    assert without_id(unknown, "gpt-none") == without_id(hidden, "other")


def without_id(error: openai.APIStatusError, model: str) -> str:
    return error.response.text.replace(str(error.request_id), "").replace(model, "")


def test_models_list_what_the_key_may_use(scripted: Scripted) -> None:
    with scripted.door("only-m").sync() as client:
        assert [model.id for model in client.models.list()] == ["m"]
        assert client.models.retrieve("m").id == "m"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("other")
    assert checked(caught.value).code == "model_not_found"


def test_a_path_without_a_route(scripted: Scripted) -> None:
    async def main() -> openai.NotFoundError:
        async with scripted.door().asynchronous() as client:
            with pytest.raises(openai.NotFoundError) as caught:
                await client.embeddings.create(model="m", input="x")
        return caught.value

    with scripted.door().sync() as client, pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="m", input="x")
    for error in (caught.value, asyncio.run(main())):
        assert checked(error).code == "route_not_found"


def test_a_method_without_a_route(scripted: Scripted) -> None:
    with scripted.door().sync() as client, pytest.raises(openai.APIStatusError) as caught:
        client.get("/chat/completions", cast_to=object)
    assert (checked(caught.value).status_code, caught.value.code) == (405, "method_not_allowed")
    assert caught.value.response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"messages": []}', b'{"model": 7}', b'{"model": "m", "model": "other"}', b"\xff"],
)
def test_a_body_that_names_no_model(scripted: Scripted, content: bytes) -> None:
    with scripted.door().sync() as client, pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", content=content, cast_to=object)
    error = checked(caught.value)
    assert (error.status_code, error.type, error.code) == (400, "invalid_request_error", "bad_body")
    assert scripted.upstream.calls == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [10_000, 4_000_000])
def test_a_body_above_the_limit(scripted: Scripted, way: Way, size: int) -> None:
    messages = [{"role": "user", "content": "x" * size}]
    error = refusal(way, scripted.door(path="/v1/small"), messages=messages)
    assert type(error) is openai.APIStatusError
    assert (error.status_code, error.code) == (413, "body_too_large")
    assert scripted.upstream.calls == []


@pytest.mark.parametrize(("number", "way"), list(enumerate(WAYS)))
def test_a_rate_limit_says_when_to_come_back(scripted: Scripted, number: int, way: Way) -> None:
    scripted.upstream.script = good
    door = scripted.door(f"limited-{number}", "/v1/limited")
    assert way(door, model="m") == TEXT
    error = refusal(way, door)
    assert type(error) is openai.RateLimitError
    assert (error.status_code, error.type, error.code) == (429, "rate_limit_error", "rate_limited")
    assert 3500 < int(error.response.headers["retry-after"]) <= 3600
    assert len(scripted.upstream.calls) == 1


def test_the_clients_own_retry_comes_back_when_told(scripted: Scripted) -> None:
    scripted.upstream.script = good
    door = scripted.door("patient", "/v1/brisk", max_retries=1)
    with door.sync() as client:
        for num_retries in (0, 1):
            raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
            assert (raw.parse().choices[0].message.content, raw.retries_taken) == (TEXT, num_retries)
    assert len(scripted.upstream.calls) == 2


def test_more_requests_at_once_than_the_key_may_have(scripted: Scripted) -> None:
    asked, release = threading.Event(), threading.Event()

    async def held(call: Call) -> None:
        asked.set()
        await asyncio.to_thread(release.wait, 20)
        await good(call)

    async def main() -> tuple[str | None, openai.RateLimitError]:
        scripted.upstream.script = held
        async with scripted.door("one-at-a-time").asynchronous() as client:
            first = asyncio.create_task(client.chat.completions.create(model="m", messages=MESSAGES))
            assert await asyncio.to_thread(asked.wait, 20)
            try:
                with pytest.raises(openai.RateLimitError) as caught:
                    await client.chat.completions.create(model="m", messages=MESSAGES)
            finally:
                release.set()
            return (await first).choices[0].message.content, caught.value

    text, error = asyncio.run(main())
    assert text == TEXT
    assert (checked(error).type, error.code) == ("rate_limit_error", "too_many_parallel")
    scripted.upstream.script = good
    assert whole(scripted.door("one-at-a-time"), model="m") == TEXT


@pytest.mark.parametrize("credential", [openai.Omit(), "Bearer", "Basic ZnVsbDpmdWxs", "Bearer full, full", "full"])
def test_a_credential_that_is_missing_or_mangled(scripted: Scripted, credential: str | openai.Omit) -> None:
    with scripted.door().sync() as client, pytest.raises(openai.AuthenticationError) as caught:
        client.models.list(extra_headers={"Authorization": credential})
    assert checked(caught.value).code == "unauthenticated"
