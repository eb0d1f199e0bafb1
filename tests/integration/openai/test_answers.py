"""Answers of two real tiers through the demo's gateway, as the openai client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from .conftest import TwoTiers
from .ways import MESSAGES, WAYS, Door, Way, whole


def ask(door: Door, way: Way, model: str, seed: int) -> str:
    return way(door, model=model, max_tokens=16, seed=seed)


@pytest.mark.parametrize(("model", "served_by"), [("auto", "heavy"), ("heavy", "heavy"), ("lite", "lite")])
def test_each_way_of_asking_gives_the_same_text(two_tiers: TwoTiers, model: str, served_by: str) -> None:
    texts = {way.__name__: ask(two_tiers.door(), way, model, seed=7) for way in WAYS}
    directly = whole(tier_door(two_tiers, served_by), model=served_by, max_tokens=16, seed=7)
    assert texts == dict.fromkeys(texts, directly)
    assert len(directly) > 0


def tier_door(two_tiers: TwoTiers, name: str) -> Door:
    tier = {"heavy": two_tiers.heavy, "lite": two_tiers.lite}[name]
    return Door(f"http://127.0.0.1:{tier.port}/v1", "any")


def test_the_two_tiers_are_told_apart(two_tiers: TwoTiers) -> None:
    assert ask(two_tiers.door(), whole, "heavy", seed=1) != ask(two_tiers.door(), whole, "lite", seed=1)


@pytest.mark.parametrize(("model", "target"), [("auto", "heavy/heavy"), ("lite", "lite/lite")])
def test_raw_responses_show_who_answered(two_tiers: TwoTiers, model: str, target: str) -> None:
    with two_tiers.door().sync() as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=MESSAGES, max_tokens=4, extra_headers={"x-request-id": f"mine-{model}"}
        )
    answer = raw.parse()
    assert raw.headers["x-headgate-target"] == target
    assert raw.headers["x-headgate-attempts"] == "1"
    assert "x-headgate-fallback" not in raw.headers
    assert raw.headers["x-request-id"] == answer._request_id == f"mine-{model}"
    assert "ratelimit" in raw.headers
    assert answer.model == target.partition("/")[2]
    assert answer.usage is not None and answer.usage.completion_tokens == 4


def test_a_streamed_raw_response_shows_it_before_the_first_chunk(two_tiers: TwoTiers) -> None:
    async def main() -> tuple[str, str, int]:
        async with two_tiers.door().asynchronous() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="auto", messages=MESSAGES, max_tokens=5, stream=True
            )
            async with raw.parse() as stream:
                chunks = [chunk async for chunk in stream]
        return raw.headers["x-headgate-target"], raw.headers["content-type"], len(chunks)

    target, media_type, num_chunks = asyncio.run(main())
    assert (target, media_type.partition(";")[0]) == ("heavy/heavy", "text/event-stream")
    assert num_chunks > 1


def test_usage_of_a_stream_comes_last_where_it_is_asked_for(two_tiers: TwoTiers) -> None:
    asked: dict[str, Any] = {"model": "auto", "messages": MESSAGES, "max_tokens": 9, "seed": 3}
    with two_tiers.door().sync() as client:
        answer = client.chat.completions.create(**asked)
        with client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}) as stream:
            chunks = list(stream)
        with client.chat.completions.create(**asked, stream=True) as stream:
            plain = list(stream)
    assert chunks[-1].choices == [] and chunks[-1].usage == answer.usage
    assert answer.usage is not None and answer.usage.completion_tokens == 9
    assert [chunk.usage for chunk in (*chunks[:-1], *plain)] == [None] * (len(chunks) - 1 + len(plain))
    assert plain[-1].choices[0].finish_reason == "length"


def test_text_completions_whole_and_streamed(two_tiers: TwoTiers) -> None:
    asked: dict[str, Any] = {"model": "lite", "prompt": "once", "seed": 5, "max_tokens": 8}
    with two_tiers.door().sync() as client:
        answer = client.completions.create(**asked)
        with client.completions.create(**asked, stream=True) as stream:
            chunks = list(stream)
    assert answer.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def test_models_are_listed_and_described(two_tiers: TwoTiers) -> None:
    async def names() -> list[str]:
        async with two_tiers.door().asynchronous() as client:
            return [model.id async for model in client.models.list()]

    with two_tiers.door().sync() as client:
        listed = client.models.list().data
        described = client.models.retrieve("auto")
    assert [model.id for model in listed] == ["auto", "heavy", "lite"] == asyncio.run(names())
    assert described == listed[0]
    assert (described.object, described.owned_by) == ("model", "headgate")


def test_what_a_tier_refuses_reaches_the_client_in_its_words(two_tiers: TwoTiers) -> None:
    with two_tiers.door().sync() as client, pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"model": "auto"}, cast_to=object)
    error = caught.value
    assert (error.code, error.param, error.type) == ("missing_required_parameter", "messages", "invalid_request_error")
    assert error.response.headers["x-headgate-target"] == "heavy/heavy"


def test_many_streams_at_once_all_end_whole(two_tiers: TwoTiers) -> None:
    async def one(client: openai.AsyncOpenAI, seed: int) -> tuple[str, str | None]:
        stream = await client.chat.completions.create(
            model="auto", messages=MESSAGES, max_tokens=8, seed=seed, stream=True
        )
        async with stream:
            chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        return text, chunks[-1].choices[0].finish_reason

    async def main() -> list[tuple[str, str | None]]:
        async with two_tiers.door().asynchronous() as client:
            return await asyncio.gather(*(one(client, seed) for seed in range(12)))

    answers = asyncio.run(main())
    assert {reason for _, reason in answers} == {"length"}
    assert answers[3][0] == ask(two_tiers.door(), whole, "heavy", seed=3)[: len(answers[3][0])]


def test_leaving_a_long_stream_frees_the_tier_for_the_next_request(two_tiers: TwoTiers) -> None:
    with two_tiers.door().sync() as client:
        with client.chat.completions.create(model="lite", messages=MESSAGES, max_tokens=16000, stream=True) as stream:
            next(iter(stream))
        # The tier serves one request at a time, and the whole stream would take far longer than this timeout.
        answer = client.with_options(timeout=10).chat.completions.create(model="lite", messages=MESSAGES, max_tokens=1)
    assert answer.choices[0].finish_reason == "length"
