"""The unmodified openai client against a real server: whole and streamed, sync and async, each error."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MODEL = "sample"
HI: list[Any] = [{"role": "user", "content": "hi"}]


class Server(Protocol):
    """What these tests use of the server."""

    def client(self, timeout_s: float = 30.0) -> openai.OpenAI: ...

    def async_client(self) -> openai.AsyncOpenAI: ...


def test_chat_completion_whole(shared: Server) -> None:
    with shared.client() as client:
        answer = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=12, seed=1)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == MODEL
    assert answer.system_fingerprint is not None and answer.system_fingerprint.startswith("fp_")
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 12, 17)


def test_chat_completion_streamed_is_the_whole_one_in_pieces(shared: Server) -> None:
    with shared.client() as client:
        whole = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=40, seed=2)
        options: Any = {"include_usage": True}
        with client.chat.completions.create(
            model=MODEL, messages=HI, max_tokens=40, seed=2, stream=True, stream_options=options
        ) as stream:
            chunks = list(stream)
    *texts, last, usage = chunks
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert texts[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in texts[1:])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in texts) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in (*texts, last)] == [None] * len(texts) + ["length"]
    assert usage.choices == []
    assert usage.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_text_completion_whole_and_streamed(shared: Server) -> None:
    with shared.client() as client:
        whole = client.completions.create(model=MODEL, prompt="once", seed=3)
        with client.completions.create(model=MODEL, prompt="once", seed=3, stream=True) as stream:
            chunks = list(stream)
    assert whole.object == "text_completion"
    assert whole.usage is not None and whole.usage.completion_tokens == 16
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert all(chunk.usage is None for chunk in chunks)


def test_prompt_of_token_ids_is_taken_as_it_is(shared: Server) -> None:
    with shared.client() as client:
        answer = client.completions.create(model=MODEL, prompt=[5, 6, 7], max_tokens=1)
    assert answer.usage is not None and answer.usage.prompt_tokens == 3


def test_async_client_whole_and_streamed(shared: Server) -> None:
    async def main() -> None:
        async with shared.async_client() as client:
            whole = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=20, seed=4)
            stream = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=20, seed=4, stream=True)
            async with stream:
                pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            assert "".join(pieces) == whole.choices[0].message.content

    asyncio.run(main())


def test_drawn_seed_is_told_and_repeats_the_answer(shared: Server) -> None:
    with shared.client() as client:
        first, other = (client.chat.completions.create(model=MODEL, messages=HI, max_tokens=30) for _ in range(2))
        assert first.model_extra is not None and other.model_extra is not None
        seed = first.model_extra["seed"]
        assert seed != other.model_extra["seed"]
        again = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=30, seed=seed)
        assert again.choices[0].message.content == first.choices[0].message.content != other.choices[0].message.content
        with client.chat.completions.create(model=MODEL, messages=HI, max_tokens=1, stream=True) as stream:
            chunks = list(stream)
    assert "seed" in (chunks[0].model_extra or {})


def test_temperature_zero_does_not_depend_on_the_seed(shared: Server) -> None:
    with shared.client() as client:
        texts = {
            client.completions.create(model=MODEL, prompt="a", temperature=0, seed=seed).choices[0].text
            for seed in range(3)
        }
    assert len(texts) == 1


@given(data=st.data())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stop_strings_give_the_same_text_whole_and_streamed(shared: Server, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 3))
    common: Any = {"model": MODEL, "messages": HI, "max_tokens": 24, "seed": seed}
    with shared.client() as client:
        free = client.chat.completions.create(**common).choices[0].message.content or ""
        begin = data.draw(st.integers(0, len(free) - 1))
        stops = [free[begin : begin + data.draw(st.integers(1, 5))], data.draw(st.text("abc", min_size=1, max_size=3))]
        whole = client.chat.completions.create(**common, stop=stops)
        with client.chat.completions.create(**common, stop=stops, stream=True) as stream:
            chunks = list(stream)
    text = whole.choices[0].message.content or ""
    assert not any(stop in text for stop in stops)
    assert any(free.startswith(text + stop) for stop in stops)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"


def test_models_are_listed_and_described(shared: Server) -> None:
    with shared.client() as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).owned_by == "headgate"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("other")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"n": 2}, "unsupported_value", "n"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": "x" * 20000}]}, "context_length_exceeded", "messages"),
        ({"max_tokens": 16384}, "context_length_exceeded", "messages"),
    ],
)
def test_bad_request_names_its_code_and_field(shared: Server, fields: dict[str, Any], code: str, param: str) -> None:
    with shared.client() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": HI, **fields})
    assert (caught.value.code, caught.value.param, caught.value.type) == (code, param, "invalid_request_error")


@pytest.mark.parametrize("prompt", [[300], [-1], [10**12]])
def test_token_ids_outside_the_vocabulary_are_a_bad_request(shared: Server, prompt: list[int]) -> None:
    with shared.client() as client, pytest.raises(openai.BadRequestError, match="token ids from 0 to 259"):
        client.completions.create(model=MODEL, prompt=prompt)


def test_unknown_model_is_not_found(shared: Server) -> None:
    with shared.client() as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="other", messages=HI)
    assert caught.value.code == "model_not_found"


def test_too_large_body_is_an_api_error(shared: Server) -> None:
    with shared.client() as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * (5 << 20)}])
    assert caught.value.status_code == 413


def test_passed_deadline_is_an_error_before_the_first_token(shared: Server) -> None:
    with shared.client() as client:
        for is_stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(
                    model=MODEL, messages=HI, stream=is_stream, extra_headers={"x-headgate-deadline-ms": "0"}
                )
            assert (caught.value.status_code, caught.value.code) == (504, "deadline_exceeded")


def test_deadline_in_the_middle_ends_a_stream_with_an_error(shared: Server) -> None:
    seen = 0
    with shared.client() as client, pytest.raises(openai.APIError, match="deadline") as caught:
        stream = client.chat.completions.create(
            model=MODEL, messages=HI, stream=True, extra_headers={"x-headgate-deadline-ms": "1500"}
        )
        with stream:
            for _ in stream:
                seen += 1
    assert seen > 1
    assert caught.value.code == "deadline_exceeded"


def test_deadline_in_the_middle_ends_a_whole_answer_with_504(shared: Server) -> None:
    with shared.client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=HI, extra_headers={"x-headgate-deadline-ms": "300"})
    assert caught.value.status_code == 504


def test_client_timeout_is_the_clients_own_error(shared: Server) -> None:
    with shared.client(timeout_s=0.3) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=MODEL, messages=HI)
