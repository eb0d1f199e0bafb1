"""The unmodified openai client against the upstream when nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from .conftest import TEXT
from .fault_process import FaultProcess

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def client(faults: FaultProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{faults.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


def test_a_whole_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.model == "heavy"
    assert [(choice.message.content, choice.finish_reason) for choice in answer.choices] == [(TEXT, "stop")]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 7, 10)


def test_choices_and_a_bound(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=MESSAGES, n=3, max_completion_tokens=2)
    expected = [(index, "The café", "length") for index in range(3)]
    assert [(each.index, each.message.content, each.finish_reason) for each in answer.choices] == expected
    assert answer.usage is not None and answer.usage.completion_tokens == 6


def test_a_streamed_chat(client: OpenAI) -> None:
    options: openai.types.chat.ChatCompletionStreamOptionsParam = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options=options, n=2)
    )
    for index in range(2):
        mine = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert "".join(choice.delta.content or "" for choice in mine) == TEXT
        assert [choice.finish_reason for choice in mine if choice.finish_reason] == ["stop"]
        assert mine[0].delta.role == "assistant"
    usage = chunks[-1].usage
    assert usage is not None and usage.completion_tokens == 14


def test_a_prefill_is_continued(client: OpenAI) -> None:
    for prefill, rest in (("The café in 東", "京 counts: one 🚀"), ("Another", TEXT), (TEXT, "")):
        messages: list[ChatCompletionMessageParam] = [*MESSAGES, {"role": "assistant", "content": prefill}]
        assert client.chat.completions.create(model="m", messages=messages).choices[0].message.content == rest


def test_completions(client: OpenAI) -> None:
    whole = client.completions.create(model="m", prompt="one two")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (TEXT, "stop")
    streamed = list(client.completions.create(model="m", prompt="one two", stream=True, max_tokens=3))
    assert "".join(choice.text for chunk in streamed for choice in chunk.choices) == "The café in"
    assert streamed[-1].choices[0].finish_reason == "length"


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["heavy"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("context_length", openai.BadRequestError),
        ("reset", openai.APIConnectionError),
        ("cut:2", openai.APIConnectionError),
    ],
)
def test_faults_are_the_clients_errors(client: OpenAI, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        client.chat.completions.create(model="m", messages=MESSAGES, extra_headers={"x-fault": fault})


def test_an_error_event_is_the_clients_error(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, extra_headers={"x-fault": "error_event:2"}
    )
    with pytest.raises(openai.APIError, match="told to fail here"):
        list(stream)
