"""Laws of the head scan: what it takes orjson takes alike, whatever comes; and the compiled one as the twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.head_scan import BodyScan

from .body_writer import BodyWriter

Scan = Callable[[bytes], BodyScan | None]
TWIN = implementation("head_scan", "twin")
writers = st.integers(0, 2**32).map(BodyWriter)
INTEGERS = ("n", "max_tokens", "max_completion_tokens", "seed")


def told(found: BodyScan | None) -> tuple[Any, ...] | None:
    """Everything a scan says."""
    if found is None:
        return None
    return (
        *(found.body, found.model, found.model_span, found.is_stream, found.is_usage_wanted, found.n),
        *(found.max_tokens, found.max_completion_tokens, found.seed, found.user, found.prompt_span),
        *(found.num_choices, found.prefix_hashes()),
    )


def check(found: BodyScan, value: dict[str, Any]) -> None:
    """Compare with what orjson has read."""
    body = found.body
    assert found.model == value.get("model"), body
    assert found.user == value.get("user"), body
    assert found.is_stream is (value.get("stream") or False), body
    assert found.is_usage_wanted is ((value.get("stream_options") or {}).get("include_usage") or False), body
    for name in INTEGERS:
        number = getattr(found, name)
        assert number == value.get(name) and type(number) is type(value.get(name)), (name, body)
    assert {name for name in value if name.lower() == "model"} <= {"model"}, body
    if found.model is not None:
        assert orjson.loads(body[slice(*found.model_span)]) == found.model, body
    if found.prompt_span is not None:
        prompt = value["messages"] if "messages" in value else value["prompt"]
        assert orjson.loads(body[slice(*found.prompt_span)]) == prompt, body
    assert (found.prompt_span is None) is value.keys().isdisjoint({"messages", "prompt"}), body


@settings(max_examples=100)
@given(writer=writers)
def test_what_is_taken_is_what_orjson_reads(scan_head: Scan, writer: BodyWriter) -> None:
    for _ in range(50):
        body = writer.body()
        found = scan_head(body)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            assert found is None, body
            continue
        if found is not None:
            check(found, value)


@settings(max_examples=500)
@given(body=st.binary(max_size=40) | st.text('{}[]":,\\ud8nmode1.-+tfu \n\x00é😀', max_size=40).map(str.encode))
def test_whatever_comes_is_read_as_orjson_and_the_twin_do(scan_head: Scan, body: bytes) -> None:
    for each in (body, b'{"model":"m",' + body, b'{"a":' + body + b"}", b'{"a":"' + body + b'"}'):
        found = scan_head(each)
        assert told(found) == told(TWIN.scan_head(each))
        if found is not None:
            check(found, orjson.loads(each))


@settings(max_examples=50)
@given(writer=writers)
def test_what_is_plain_is_never_odd(scan_head: Scan, writer: BodyWriter) -> None:
    for _ in range(50):
        body = writer.plain()
        found = scan_head(body)
        assert found is not None, body
        check(found, orjson.loads(body))


@settings(max_examples=50)
@given(writer=writers, model=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_another_model_changes_nothing_else(scan_head: Scan, writer: BodyWriter, model: str) -> None:
    for _ in range(20):
        body = writer.plain()
        found = scan_head(body)
        assert found is not None, body
        changed = found.with_model(model)
        start, end = found.model_span
        assert changed.startswith(body[:start]) and changed.endswith(body[end:]), body
        assert orjson.loads(changed) == orjson.loads(body) | {"model": model}, body


@settings(max_examples=100)
@given(writer=writers)
def test_bodies_are_read_as_the_twin_reads_them(scan_head: Scan, writer: BodyWriter) -> None:
    for _ in range(50):
        body = writer.body()
        found, twin = scan_head(body), TWIN.scan_head(body)
        assert told(found) == told(twin), body
        if found is not None:
            assert found.with_model("é") == twin.with_model("é"), body
            assert repr(found) == repr(twin), body


@settings(max_examples=50)
@given(writer=writers)
def test_each_cut_of_a_body_is_odd(scan_head: Scan, writer: BodyWriter) -> None:
    body = writer.plain()
    whole = len(body.rstrip(b" \t\r\n"))
    taken = [at for at in range(len(body) + 1) if scan_head(body[:at]) is not None]
    assert taken == list(range(whole, len(body) + 1)), body


@settings(max_examples=50)
@given(writer=writers, other=writers, name=st.sampled_from(("messages", "prompt")))
def test_prompts_have_as_many_hashes_alike_as_blocks(
    scan_head: Scan, writer: BodyWriter, other: BodyWriter, name: str
) -> None:
    shared = "".join(writer.text()[1:-1] for _ in range(20))
    prompts = [f'"{shared}{each.text()[1:]}'.encode() for each in (writer, other)]
    first, second = (scan_head(b'{"%b":%b}' % (name.encode(), prompt)) for prompt in prompts)
    assert first is not None and second is not None
    alike = [a == b for a, b in zip(first.prefix_hashes(), second.prefix_hashes(), strict=False)]
    blocks = range(512, min(map(len, prompts)) + 1, 512)
    assert alike == [prompts[0][:end] == prompts[1][:end] for end in blocks[:32]]
