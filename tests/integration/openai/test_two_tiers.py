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
def test_each_way_of_asking_falls_back(two_tiers: TwoTiers, way: Way) -> None:
    two_tiers.heavy.kill()
    text = way(two_tiers.door(), model="auto", max_tokens=12, seed=2)
    assert text == whole(two_tiers.door(), model="lite", max_tokens=12, seed=2)


def test_without_another_target_or_with_fallback_off_the_client_sees_the_error(two_tiers: TwoTiers) -> None:
    two_tiers.heavy.kill()
    with two_tiers.door().sync() as client:
        with pytest.raises(openai.InternalServerError) as lone:
            ask(client, "heavy")
        with pytest.raises(openai.InternalServerError) as switched_off:
            ask(client, "auto", **{"x-headgate-fallback": "off"})
    for error in (lone.value, switched_off.value):
        assert (error.status_code, error.code, error.type) == (502, "connect_failed", "upstream_error")


@pytest.mark.parametrize("way", STREAMED)
def test_killed_in_a_stream_is_an_error_and_never_another_tiers_text(two_tiers: TwoTiers, way: Way) -> None:
    # The kill comes once the client has a piece of the answer in its hands.
    door = two_tiers.door()
    with door.sync() as client, pytest.raises(openai.APIError) as caught:
        with client.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=16000, stream=True) as stream:
            chunks = iter(stream)
            next(chunks)
            two_tiers.heavy.kill()
            reasons = [chunk.choices[0].finish_reason for chunk in chunks]
            assert set(reasons) == {None}
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert (caught.value.type, caught.value.code) == ("upstream_error", "reset")
    assert way(door, model="auto", max_tokens=4, seed=1) == whole(door, model="lite", max_tokens=4, seed=1)
