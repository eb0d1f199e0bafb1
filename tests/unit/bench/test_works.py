"""The work is what its title says."""

from __future__ import annotations

import json

import pytest

from bench.governed import NUM_KEYS, NUM_TENANTS
from bench.works import (
    ANSWER,
    BURST,
    CACHE,
    GET,
    IDLE,
    LAST_EVENT,
    NUM_CACHED,
    POST,
    PROMPT,
    SINGLE,
    WORKS,
    Work,
    padded,
)
from headgate.plugins.api_key import is_well_formed


@pytest.mark.parametrize(
    ("work", "size"), [(POST, 90), (SINGLE, 90), (PROMPT, 216_000), (BURST, 150_000), (GET, 0), (CACHE, 0), (IDLE, 0)]
)
def test_every_request_has_a_body_of_the_size_it_says(work: Work, size: int) -> None:
    for request in work.requests():
        head, _, body = request.partition(b"\r\n\r\n")
        assert len(body) == size == work.body_bytes
        assert size == 0 or f"\r\nContent-Length: {size}".encode() in head
        assert size == 0 or json.loads(body)["model"].startswith("model-")


def test_requests_take_turns_with_every_key() -> None:
    keys = {request.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode() for request in POST.requests()}
    assert len(keys) == NUM_KEYS and all(is_well_formed(key) for key in keys)


def test_every_get_has_a_target_of_its_own() -> None:
    assert len({request.split(b" ")[1] for request in GET.requests()}) == NUM_KEYS


def test_each_cached_answer_is_asked_for_by_one_tenant() -> None:
    assert NUM_CACHED % NUM_TENANTS == 0
    asked = [request.split(b" ")[1] for request in CACHE.requests()]
    assert len(asked) == NUM_KEYS and len(set(asked)) == NUM_CACHED
    tenants = {target: {number % NUM_TENANTS for number, one in enumerate(asked) if one == target} for target in asked}
    assert all(len(found) == 1 for found in tenants.values())


def test_what_is_done_once_has_a_request_for_each_connection() -> None:
    once = [work for work in WORKS.values() if work.is_once]
    assert once == [BURST, IDLE]
    for work in once:
        assert sum(1 for _ in work.requests()) == work.connections


def test_answers_are_whole() -> None:
    assert len(ANSWER) == 318
    assert json.loads(ANSWER)["choices"][0]["finish_reason"] == "stop"
    assert LAST_EVENT.endswith(b"data: [DONE]\n\n")


def test_padding_needs_room() -> None:
    assert padded("<", ">", 5) == b"<...>"
    with pytest.raises(ValueError, match="got 1"):
        padded("<", ">", 1)
