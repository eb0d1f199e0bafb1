"""A stream that was cut goes on as if it had not been, or not at all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.inference.admission import Admission
from headgate.inference.config import read_config
from headgate.inference.cursor import NAME_BYTES, Cursor, CursorWriter, Origin
from headgate.inference.events import EventStream
from headgate.inference.generate import ReplayDiverged, generate
from headgate.inference.model import Deepseek
from headgate.inference.openai_api import ApiError, Ask, parse_chat, parse_completion
from headgate.inference.plan import Plan, make_plan
from headgate.inference.resume import request_digest
from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.inference.service import Service
from headgate.inference.tokenizer import Tokenizer, read_tokenizer
from headgate.inference.weights import load_model
from headgate.inference.worker import Worker

NUMERICS = "0123456789abcdef"
FRESH = Origin(seed=11, created=1_700_000_000, name=bytes(NAME_BYTES))
OTHER = Origin(seed=12, created=1_800_000_000, name=b"o" * NAME_BYTES)
TEMPERATURES = st.sampled_from([0, 0.7, 1.0, 1.6])
# Letters of one to four bytes: broken and whole characters, and tokens held back for them.
FAVOURED = "abcdefghijklmnopqrst äöß€😀"


@dataclass(frozen=True, repr=False)
class Bench:
    """A service without a server, and the model behind it."""

    service: Service
    model: Deepseek

    def plan(self, body: dict[str, Any], fresh: Origin = FRESH) -> Plan:
        ask = _parse(body)
        return make_plan(self.service, ask, fresh if ask.seed is None else dataclasses.replace(fresh, seed=ask.seed))

    def run(self, plan: Plan) -> list[bytes]:
        """Give every event that the client lacks."""
        stream = EventStream(plan.answer, plan.writer, len(plan.generation.prompt_ids), plan.delivered)
        steps = generate(self.model, self.service.tokenizer, plan.generation, lambda: False)
        return [data for step in steps for data in stream.push(step)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    path = tmp_path_factory.mktemp("resume") / "model"
    write_sample_checkpoint(path, has_end=False, favoured=FAVOURED)
    model, tokenizer = load_model(path, read_config(path)), read_tokenizer(path)
    return Bench(_service(path, model, tokenizer), model)


def _service(path: Path, model: Deepseek, tokenizer: Tokenizer) -> Service:
    return Service("m", NUMERICS, 0, read_config(path), tokenizer, Worker(model, tokenizer), Admission(0))


def _chat(**fields: object) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 24, **fields}


def _parse(body: dict[str, Any]) -> Ask:
    return (parse_chat if "messages" in body else parse_completion)(orjson.dumps(body))


def _cursor(event: bytes) -> str:
    first, _, rest = event.partition(b"\n")
    assert first.startswith(b"id: ") and rest.startswith(b"data: {")
    return first.removeprefix(b"id: ").decode()


def _resume(body: dict[str, Any], cursors: list[str]) -> dict[str, Any]:
    return {**body, "headgate_resume": cursors}


def _text(events: list[bytes]) -> str:
    deltas = [orjson.loads(event.partition(b"data: ")[2])["choices"] for event in events]
    return "".join(choices[0]["delta"].get("content", "") for choices in deltas if choices)


# -- the law


@given(data=st.data(), seed=st.integers(-(2**63), 2**63 - 1), temperature=TEMPERATURES, has_usage=st.booleans())
@settings(deadline=None, max_examples=12)
def test_delivered_events_and_resumed_ones_are_the_undisturbed_stream(
    bench: Bench, data: st.DataObject, seed: int, temperature: float, has_usage: bool
) -> None:
    body = _chat(temperature=temperature, seed=seed, stream_options={"include_usage": has_usage})
    free = _text(bench.run(bench.plan(body)))
    if data.draw(st.booleans()):
        begin = data.draw(st.integers(0, len(free) - 1))
        body["stop"] = [free[begin : begin + data.draw(st.integers(1, 4))], "a€"]
    whole = bench.run(bench.plan(body))
    cursors = [_cursor(event) for event in whole]
    for cut in data.draw(st.sets(st.integers(1, len(whole)), min_size=1, max_size=3)):
        # The other origin stands for another server, at another time.
        resumed = bench.run(bench.plan(_resume(body, cursors[:cut]), OTHER))
        assert whole[:cut] + resumed == whole


def test_a_text_completion_resumes_too_and_over_the_growth_of_the_cache(bench: Bench) -> None:
    # The cache grows at its 256th row: here within the answer.
    body = {"model": "m", "prompt": [7, 8, 9] * 82, "max_tokens": 20, "stream": True}
    whole = bench.run(bench.plan(body))
    cursors = [_cursor(event) for event in whole]
    for cut in range(1, len(whole) + 1):
        assert whole[:cut] + bench.run(bench.plan(_resume(body, cursors[:cut]), OTHER)) == whole


@given(seed=st.integers(0, 2**32), temperature=TEMPERATURES)
@settings(deadline=None, max_examples=6)
def test_every_token_belongs_to_one_event(bench: Bench, seed: int, temperature: float) -> None:
    body = _chat(seed=seed, temperature=temperature, stop=["€", "ab"], max_tokens=40)
    plan = bench.plan(body)
    tokens = [step.token for step in generate(bench.model, bench.service.tokenizer, plan.generation, lambda: False)]
    cursors = [_cursor(event) for event in bench.run(plan)]
    resumed = bench.plan(_resume(body, cursors))
    assert list(resumed.generation.replay) == tokens


def test_some_events_of_these_tests_cover_many_tokens_and_letters_of_many_bytes(bench: Bench) -> None:
    events = bench.run(bench.plan(_chat(temperature=0, max_tokens=60)))
    assert len(events) < 60 + 2 - 20
    assert "ß" in _text(events) and "\ufffd" in _text(events)


def test_the_drawn_seed_and_the_day_of_the_first_run_are_kept(bench: Bench) -> None:
    body = _chat()
    cursors = [_cursor(event) for event in bench.run(bench.plan(body))]
    resumed = bench.plan(_resume(body, cursors[:3]), OTHER)
    assert resumed.generation.sampling.seed == FRESH.seed
    assert (resumed.answer.seed, resumed.answer.created) == (FRESH.seed, FRESH.created)
    assert resumed.answer.completion_id == f"chatcmpl-{FRESH.name.hex()}"


def test_a_template_that_tells_the_date_tells_that_of_the_first_run(bench: Bench) -> None:
    template = "{{ strftime_now('%Y-%m-%d %H') }}{{ messages[0].content }}"
    tokenizer = Tokenizer(bench.service.tokenizer.backend, template, {})
    dated = Bench(dataclasses.replace(bench.service, tokenizer=tokenizer), bench.model)
    body = _chat()
    first = dated.plan(body)
    cursors = [_cursor(event) for event in dated.run(first)]
    assert dated.plan(body, OTHER).generation.prompt_ids != first.generation.prompt_ids
    assert dated.plan(_resume(body, cursors[:2]), OTHER).generation.prompt_ids == first.generation.prompt_ids


# -- lists that are refused


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_list_that_is_no_beginning_of_one_stream_is_refused(bench: Bench, data: st.DataObject) -> None:
    body = _chat(temperature=1.0)
    sound, strange = _two_lists(bench)
    changed = list(sound[: data.draw(st.integers(1, len(sound)))])
    at = st.integers(0, len(changed) - 1)
    match data.draw(st.sampled_from(["drop", "double", "swap", "cut", "letter", "strange", "garbage"])):
        case "drop":
            del changed[data.draw(at)]
        case "double":
            changed.insert(data.draw(at), changed[data.draw(at)])
        case "swap":
            here, there = data.draw(at), data.draw(at)
            changed[here], changed[there] = changed[there], changed[here]
        case "cut":
            here = data.draw(at)
            changed[here] = changed[here][: data.draw(st.integers(0, len(changed[here]) - 1))]
        case "letter":
            here = data.draw(at)
            place = data.draw(st.integers(0, len(changed[here]) - 1))
            changed[here] = changed[here][:place] + data.draw(st.characters(codec="utf-8")) + changed[here][place + 1 :]
        case "strange":
            changed[data.draw(at)] = data.draw(st.sampled_from(strange))
        case "garbage":
            changed[data.draw(at)] = data.draw(st.text(max_size=60))
    if not changed:
        # Nothing was delivered: an answer from the start.
        assert bench.plan(_resume(body, changed)).generation.replay == ()
        return
    if changed in (sound[: len(changed)], strange[: len(changed)]):
        assert bench.plan(_resume(body, changed)).delivered == tuple(changed)
        return
    with pytest.raises(ApiError) as caught:
        bench.plan(_resume(body, changed))
    assert (caught.value.status, caught.value.code) == (400, "invalid_cursor")
    assert caught.value.param == "headgate_resume"


_LISTS: dict[int, tuple[list[str], list[str]]] = {}


def _two_lists(bench: Bench) -> tuple[list[str], list[str]]:
    """Give the cursors of two streams of one request that drew its seed twice."""
    if id(bench) not in _LISTS:
        first, second = (bench.run(bench.plan(_chat(temperature=1.0), origin)) for origin in (FRESH, OTHER))
        _LISTS[id(bench)] = [_cursor(event) for event in first], [_cursor(event) for event in second]
    return _LISTS[id(bench)]


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "ho"}]},
        {"max_tokens": 25},
        {"temperature": 0.9},
        {"top_p": 0.99},
        {"stop": ["zz"]},
        {"stream_options": {"include_usage": True}},
    ],
    ids=["messages", "max_tokens", "temperature", "top_p", "stop", "usage"],
)
def test_another_request_cannot_go_on_with_the_stream(bench: Bench, change: dict[str, Any]) -> None:
    body = _chat(temperature=1.0)
    cursors = _two_lists(bench)[0][:2]
    with pytest.raises(ApiError, match="from another request, stream or model"):
        bench.plan(_resume({**body, **change}, cursors))


def test_another_kind_of_completion_cannot_go_on_with_the_stream(bench: Bench) -> None:
    chat = _chat(messages=[{"role": "user", "content": "hi"}])
    ids = list(bench.plan(chat).generation.prompt_ids)
    cursors = [_cursor(event) for event in bench.run(bench.plan(chat))]
    text = {"model": "m", "prompt": ids, "stream": True, "max_tokens": 24}
    with pytest.raises(ApiError, match="from another request, stream or model"):
        bench.plan(_resume(text, cursors[:1]))


def test_cursors_of_other_numerics_are_refused(bench: Bench) -> None:
    other = Bench(dataclasses.replace(bench.service, numerics="f" * 16), bench.model)
    with pytest.raises(ApiError, match="from another request, stream or model") as caught:
        other.plan(_resume(_chat(temperature=1.0), _two_lists(bench)[0][:1]))
    assert caught.value.code == "invalid_cursor"


def test_a_seed_that_is_not_the_streams_is_refused(bench: Bench) -> None:
    cursors = [_cursor(event) for event in bench.run(bench.plan(_chat(seed=5)))]
    assert bench.plan(_resume(_chat(seed=5), cursors)).answer.seed == 5
    assert bench.plan(_resume(_chat(), cursors)).answer.seed == 5
    with pytest.raises(ApiError, match=r"headgate_resume\[0\]: the stream was drawn with seed 5, but seed says 6"):
        bench.plan(_resume(_chat(seed=6), cursors))


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (Cursor(2, 0, ()), "expected the cursor of event 1, got that of event 2"),
        (Cursor(1, 2, (5,)), "expected 0 tokens before this event, got 2"),
    ],
    ids=["event left out", "tokens left out"],
)
def test_a_list_that_does_not_join_says_where(bench: Bench, second: Cursor, problem: str) -> None:
    body = _chat(seed=-1)
    writer = _writer(bench, body)
    with pytest.raises(ApiError, match=rf"headgate_resume\[1\]: {problem}"):
        bench.plan(_resume(body, [writer.write(Cursor(0, 0, ())), writer.write(second)]))


# -- bounds


def test_more_cursors_or_tokens_than_max_tokens_are_refused(bench: Bench) -> None:
    body = _chat(max_tokens=3)
    writer = _writer(bench, body)
    with pytest.raises(ApiError, match="expected at most 6 cursors, got 7"):
        bench.plan(_resume(body, [writer.write(Cursor(index, 0, ())) for index in range(7)]))
    with pytest.raises(ApiError, match=r"headgate_resume\[1\]: expected at most 3 tokens in all"):
        bench.plan(_resume(body, [writer.write(Cursor(0, 0, ())), writer.write(Cursor(1, 0, (1, 2, 3, 4)))]))
    with pytest.raises(ApiError, match=r"headgate_resume\[1\]: expected at most 72 characters, got 4000"):
        bench.plan(_resume(body, [writer.write(Cursor(0, 0, ())), "A" * 4000]))


def test_without_max_tokens_the_context_is_the_bound(bench: Bench) -> None:
    body = _chat(max_tokens=None)
    context_tokens = bench.service.config.max_position_embeddings
    with pytest.raises(ApiError, match=f"expected at most {context_tokens + 3} cursors"):
        bench.plan(_resume(body, ["AAAA"] * (context_tokens + 4)))


def _writer(bench: Bench, body: dict[str, Any]) -> CursorWriter:
    plan = bench.plan(body)
    origin = dataclasses.replace(FRESH, seed=plan.answer.seed)
    return CursorWriter(request_digest(NUMERICS, _parse(body), plan.generation), origin)


# -- forged lists: sound by their checks, and yet not what is generated here


def test_a_token_that_is_drawn_otherwise_ends_the_replay(bench: Bench) -> None:
    body = _chat(temperature=0, seed=FRESH.seed)
    writer = _writer(bench, body)
    drawn = next(iter(generate(bench.model, bench.service.tokenizer, bench.plan(body).generation, lambda: False))).token
    for forged in (drawn + 1, 2**32 - 1):
        texts = [writer.write(Cursor(0, 0, ())), writer.write(Cursor(1, 0, (forged,)))]
        plan = bench.plan(_resume(body, texts))
        with pytest.raises(ReplayDiverged, match=f"token 1: expected {forged} as delivered, drew {drawn}"):
            bench.run(plan)


def test_events_that_are_divided_otherwise_end_the_replay(bench: Bench) -> None:
    body = _chat(temperature=0, seed=FRESH.seed)
    writer = _writer(bench, body)
    drawn = tuple(
        step.token
        for step in generate(bench.model, bench.service.tokenizer, bench.plan(body).generation, lambda: False)
    )
    joined = [writer.write(Cursor(0, 0, ())), writer.write(Cursor(1, 0, drawn[:3]))]
    with pytest.raises(ReplayDiverged, match="event 1: the delivered one is not the one made here"):
        bench.run(bench.plan(_resume(body, joined)))
    whole = [_cursor(event) for event in bench.run(bench.plan(body))]
    more = [*whole, writer.write(Cursor(len(whole), len(drawn), ()))]
    with pytest.raises(ReplayDiverged, match=f"expected {len(more)} events as delivered, made {len(whole)}"):
        bench.run(bench.plan(_resume(body, more)))
