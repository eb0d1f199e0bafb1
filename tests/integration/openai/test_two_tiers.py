"""The heavier tier dies and comes back, under the openai client."""

from __future__ import annotations

import openai
import pytest

from .conftest import TwoTiers
from .ways import MESSAGES, STREAMED, WHOLE, Way, whole


def ask(client: openai.OpenAI, model: str = "auto", **headers: str) -> tuple[str, str | None]:
    """Return who answered, and whether it was a fallback."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=MESSAGES, max_tokens=2, extra_headers=headers
    )
    assert raw.parse().choices[0].finish_reason == "length"
    return raw.headers["x-headgate-target"], raw.headers.get("x-headgate-fallback")


def test_killed_is_the_next_answered_by_lite_and_back_is_used_again(two_tiers: TwoTiers) -> None:
    with two_tiers.door().sync() as client:
        assert ask(client) == ("heavy/heavy", None)
        two_tiers.heavy.kill()
        assert ask(client) == ("lite/lite", "true")
        assert ask(client) == ("lite/lite", "true")
        two_tiers.heavy.start()
        two_tiers.heavy.wait()
        assert ask(client) == ("heavy/heavy", None)


@pytest.mark.parametrize("way", WHOLE + STREAMED)
def test_each_way_of_asking_falls_back(heavy_is_down: TwoTiers, way: Way) -> None:
    door = heavy_is_down.door()
    assert way(door, model="auto", max_tokens=12, seed=2) == whole(door, model="lite", max_tokens=12, seed=2)


def test_without_another_target_or_with_fallback_off_the_client_sees_the_error(heavy_is_down: TwoTiers) -> None:
    with heavy_is_down.door().sync() as client:
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
