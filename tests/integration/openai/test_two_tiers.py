"""The heavier tier dies and comes back, under the openai client."""

from __future__ import annotations

import openai
import pytest

from .conftest import TwoTiers
from .ways import MESSAGES, WAYS, whole


def ask(client: openai.OpenAI, model: str = "auto", **headers: str) -> tuple[str, str | None]:
    """Return who answered, and whether it was a fallback."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=MESSAGES, max_tokens=2, extra_headers=headers
    )
    assert raw.parse().choices[0].finish_reason == "length"
    return raw.headers["x-headgate-target"], raw.headers.get("x-headgate-fallback")


def test_heavy_is_killed_and_comes_back(two_tiers: TwoTiers) -> None:
    with two_tiers.door().sync() as client:
        assert ask(client) == ("heavy/heavy", None)
        two_tiers.heavy.kill()
        assert ask(client) == ("lite/lite", "true")
        check_all_ways_fall_back(two_tiers)
        check_who_wants_heavy_alone_sees_the_error(client)
        two_tiers.heavy.start()
        two_tiers.heavy.wait()
        two_tiers.until_heavy_answers()
        assert ask(client) == ("heavy/heavy", None)


def check_all_ways_fall_back(two_tiers: TwoTiers) -> None:
    door = two_tiers.door()
    expected = whole(door, model="lite", max_tokens=12, seed=2)
    assert [way(door, model="auto", max_tokens=12, seed=2) for way in WAYS] == [expected] * len(WAYS)


def check_who_wants_heavy_alone_sees_the_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as lone:
        ask(client, "heavy")
    with pytest.raises(openai.InternalServerError) as switched_off:
        ask(client, "auto", **{"x-headgate-fallback": "off"})
    for error in (lone.value, switched_off.value):
        assert (error.status_code, error.code, error.type) == (502, "connect_failed", "upstream_error")


def test_killed_in_a_stream_is_an_error_and_never_another_tiers_text(two_tiers: TwoTiers) -> None:
    with two_tiers.door().sync() as client:
        with pytest.raises(openai.APIError) as caught:
            stream = client.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=16000, stream=True)
            with stream as chunks:
                next(chunks)
                two_tiers.heavy.kill()
                assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}
        assert type(caught.value) is openai.APIError
        assert caught.value.type == "upstream_error"
        assert caught.value.code in ("reset", "truncated")
        assert ask(client) == ("lite/lite", "true")
