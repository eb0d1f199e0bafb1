"""The work is what its title says."""

from __future__ import annotations

import json

import pytest

from bench.governed import NUM_KEYS
from bench.works import ANSWER, GET, LAST_EVENT, POST, PROMPT, Work, padded
from headgate.plugins.api_key import is_well_formed


@pytest.mark.parametrize(("work", "size"), [(POST, 90), (PROMPT, 216_000), (GET, 0)])
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


def test_answers_are_whole() -> None:
    assert len(ANSWER) == 318
    assert json.loads(ANSWER)["choices"][0]["finish_reason"] == "stop"
    assert LAST_EVENT.endswith(b"data: [DONE]\n\n")


def test_padding_needs_room() -> None:
    assert padded("<", ">", 5) == b"<...>"
    with pytest.raises(ValueError, match="got 1"):
        padded("<", ">", 1)
