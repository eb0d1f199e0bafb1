"""The plugin `prompt_guard`: what is let through, and what is found wherever it stands."""

from __future__ import annotations

import asyncio
import json
import time
import unicodedata
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headgate.plugins.prompt_guard import PromptGuard
from headgate.plugins.prompt_guard.normal import normal
from headgate.plugins.prompt_guard.patterns import Patterns
from headgate.proxy.errors import GatewayError
from headgate.proxy.hooks import load_type
from headgate.proxy.hookspecs import Setup
from headgate.proxy.verdicts import Reject

from .exchanges import make_exchange

WORD = "Wörterbuch"


class JsonBody:
    """A body that has come, or comes when it is read."""

    is_empty = False

    def __init__(self, data: bytes, has_come: bool = True) -> None:
        self._data, self._has_come = data, has_come
        self.length = len(data)

    def arrived(self, limit_bytes: int) -> bytes | None:
        return self._whole(limit_bytes) if self._has_come else None

    async def read(self, limit_bytes: int) -> bytes:
        return self._whole(limit_bytes)

    def replace(self, data: bytes) -> None:
        raise AssertionError("the guard changes nothing")

    def _whole(self, limit_bytes: int) -> bytes:
        if len(self._data) > limit_bytes:
            raise GatewayError("body_too_large")
        return self._data


def make_plugin(**settings: Any) -> PromptGuard:
    plugin = PromptGuard(PromptGuard.Config.model_validate(settings))
    plugin.headgate_configure(Setup("guard", None, {}))
    return plugin


def ask(plugin: PromptGuard, body: object, model: str | None = None, **how: Any) -> Reject | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = make_exchange(model=model, options=how.pop("options", None))
    exchange.request.body = JsonBody(data, **how)
    verdict = plugin.headgate_request(exchange)
    if verdict is None or isinstance(verdict, Reject):
        return verdict

    async def waited() -> Reject | None:
        return await verdict

    return asyncio.run(waited())


def chat(*contents: object, **more: Any) -> dict[str, Any]:
    return {"model": "lite", "messages": [{"role": "user", "content": each} for each in contents], **more}


def test_it_is_a_plugin_of_the_contract() -> None:
    point = EntryPoint("prompt_guard", "headgate.plugins.prompt_guard:PromptGuard", "headgate.plugins")
    assert load_type("prompt_guard", point).stages == {"request"}


PART = {"type": "text", "text": WORD}
CARRIERS: dict[str, Callable[[str], object]] = {
    "a message": lambda text: chat(text),
    "the last of many": lambda text: chat(*["x"] * 50, text),
    "a part": lambda text: chat([{"type": "text", "text": "x"}, {"type": "text", "text": text}]),
    "two parts": lambda text: chat([{"type": "text", "text": text[:4]}, {"type": "text", "text": text[4:]}]),
    "beside an image": lambda text: chat(
        [{"type": "image_url", "image_url": {"url": "data:,x"}}, {"type": "text", "text": text}]
    ),
    "another member of a message": lambda text: {"messages": [{"role": "user", "content": "x", "name": text}]},
    "a part of no known type": lambda text: chat([{"type": "thought", "of": {"deep": [text]}}]),
    "arguments of a tool": lambda text: {
        "messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": text}}]}]
    },
    "what a tool is for": lambda text: chat("x", tools=[{"type": "function", "function": {"description": text}}]),
    "a message that says it is a file": lambda text: {"messages": [{"role": "user", "type": "file", "content": text}]},
    "a part that says it is an image": lambda text: chat([{"type": "image_url", "text": text}]),
    "a part of a type that is no name": lambda text: chat([{"type": ["image_url"], "text": text}]),
    "a role": lambda text: {"messages": [{"role": text, "content": "x"}]},
    "an id": lambda text: {"messages": [{"role": "tool", "tool_call_id": text, "content": "x"}]},
    "a type": lambda text: chat([{"type": text, "text": "x"}]),
    "the name of a member": lambda text: chat("x", tools=[{"parameters": {"properties": {text: {}}}}]),
    "a completion": lambda text: {"prompt": text},
    "one of several completions": lambda text: {"prompt": ["x", text]},
    "behind a completion": lambda text: {"prompt": "x", "suffix": text},
    "an embedding": lambda text: {"input": text},
    "one of several embeddings": lambda text: {"input": ["x", text]},
    "a response": lambda text: {"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]},
    "instructions": lambda text: {"input": "x", "instructions": text},
    "a system text": lambda text: chat("x", system=[PART | {"text": text}]),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_a_denied_text_is_found_wherever_it_stands(name: str) -> None:
    plugin = make_plugin(deny_texts=["nothing", WORD])
    for has_come in (True, False):
        verdict = ask(plugin, CARRIERS[name](f"a {WORD} b"), has_come=has_come)
        assert verdict is not None and (verdict.kind, verdict.detail) == ("forbidden", "guard: deny_texts[1]")
        assert WORD.lower() not in (verdict.message + verdict.detail).lower()
        assert ask(plugin, CARRIERS[name]("a Wörter buch b"), has_come=has_come) is None


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "capitals": str.upper,
    "small": str.lower,
    "taken apart": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "joiners": lambda text: "\u200d".join(text),
    "soft hyphens": lambda text: "\u00ad".join(text),
    "tags": lambda text: "\U000e0041".join(text),
}


@given(
    carrier=st.sampled_from(sorted(CARRIERS)),
    disguise=st.sampled_from(sorted(DISGUISES)),
    around=st.tuples(st.text(max_size=20), st.text(max_size=20)),
    is_escaped=st.booleans(),
    word=st.sampled_from(
        ["Wörterbuch", "Straße", "rm -rf", "ﬁrst", "ignore previous", "秘密の", "a.b*c(d", "ÅNGSTRÖM"]
    ),
)
def test_a_planted_text_is_found_however_it_is_written(
    carrier: str, disguise: str, around: tuple[str, str], is_escaped: bool, word: str
) -> None:
    # A mark behind it would make another letter of its last one.
    assume(not around[1] or not unicodedata.combining(around[1][0]))
    text = f"{around[0]} {DISGUISES[disguise](word)} {around[1]}"
    assume(all(char < "\ud800" or char > "\udfff" for char in text))
    body = json.dumps(CARRIERS[carrier](text), ensure_ascii=is_escaped).encode()
    assert ask(make_plugin(deny_texts=[word]), body) is not None


@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=4), word=st.text("abÄ ", min_size=1, max_size=3))
def test_nothing_is_found_that_is_not_there(texts: list[str], word: str) -> None:
    assume(normal(word, fold_case=True))
    assume(all(char < "\ud800" or char > "\udfff" for text in texts for char in text))
    is_there = any(normal(word, fold_case=True) in normal(text, fold_case=True) for text in texts)
    # The names of the members and the role are no texts of the prompt.
    assert (ask(make_plugin(deny_texts=[word]), chat(*texts)) is not None) is is_there


@given(st.text(), st.booleans())
def test_the_one_form_is_one(text: str, fold_case: bool) -> None:
    once = normal(text, fold_case=fold_case)
    assert normal(once, fold_case=fold_case) == once
    assert normal(f"\u200b{text}\u2060", fold_case=fold_case) == once
    if fold_case:
        assert normal(text.casefold(), fold_case=True) == once


def test_case_may_matter() -> None:
    plugin = make_plugin(deny_texts=["Secret"], deny_patterns=["^Key"], fold_case=False)
    assert ask(plugin, chat("secret", "a Key", "key")) is None
    assert ask(plugin, chat("a Secret")) is not None and ask(plugin, chat("Key")) is not None


def test_patterns_are_those_of_re2_on_each_text_by_itself() -> None:
    plugin = make_plugin(deny_patterns=[r"\bkey\s*[:=]", r"^BEGIN .* END$"])
    for text, number in (("my KEY : x", 0), ("begin  x\nend", 1), ("Begin\u00a0\u200b x END", 1)):
        verdict = ask(plugin, chat("fine", text))
        assert verdict is not None and verdict.detail == f"guard: deny_patterns[{number}]", text
    assert ask(plugin, chat("monkey: x", "begin x", "x end")) is None
    only = make_plugin(allow_patterns=["^translate:", "^summarise:"])
    assert ask(only, chat("Translate: x")) is None
    verdict = ask(only, chat("write: x"))
    assert verdict is not None and verdict.kind == "forbidden"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(x+x+)+y"])
def test_no_pattern_takes_long(pattern: str) -> None:
    """What a backtracking matcher would not end in the life of the universe is linear here."""
    patterns = Patterns([pattern], fold_case=True)

    def cost_s(length: int) -> float:
        text = "a" * length + "x" * length + "!"
        begun = time.process_time()
        assert not patterns.is_in(text)
        return time.process_time() - begun

    assert cost_s(200_000) < 5


LIMITS: list[tuple[dict[str, Any], object, str | None, str]] = [
    ({"max_characters": 5}, chat("123", "45"), None, ""),
    ({"max_characters": 5}, chat("123", "456"), "bad_body", "the prompt has 6 characters, at most 5 are allowed here"),
    ({"max_characters": 2}, chat([{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]), None, ""),
    ({"max_characters": 1}, chat("\U0001f600"), None, ""),
    ({"max_messages": 2}, chat("1", "2"), None, ""),
    ({"max_messages": 2}, chat("1", "2", "3"), "bad_body", "the prompt has 3 messages, at most 2"),
    ({"max_messages": 2}, {"input": ["1", "2", "3"]}, "bad_body", "3 messages"),
    ({"max_tokens": 10}, chat("1", max_tokens=10), None, ""),
    ({"max_tokens": 10}, chat("1"), None, ""),
    ({"max_tokens": 10}, chat("1", max_tokens=11), "bad_body", "the request asks for 11 tokens, at most 10"),
    ({"max_tokens": 10}, chat("1", max_tokens=11.0), "bad_body", "tokens, at most 10"),
    ({"max_tokens": 10}, chat("1", max_tokens="11"), "bad_body", "tokens, at most 10"),
    ({"max_tokens": 10}, chat("1", max_tokens=1, max_completion_tokens=11), "bad_body", "11 tokens"),
    ({"max_tokens": 10}, {"input": "x", "max_output_tokens": 11}, "bad_body", "11 tokens"),
    ({"models": ["lite", "team-*"]}, chat("1"), None, ""),
    ({"models": ["heavy"]}, chat("1"), "model_not_found", ""),
    ({"models": ["heavy"]}, {"prompt": "1"}, "bad_body", "must name a `model`"),
    ({"roles": ["user"]}, chat("1"), None, ""),
    ({"roles": ["user"]}, {"messages": [{"role": "system", "content": "x"}]}, "forbidden", "one of the roles user"),
    ({"roles": ["user"]}, {"input": [{"role": "developer", "content": "x"}]}, "forbidden", "one of the roles user"),
    ({"tools": False}, chat("1", tools=[]), None, ""),
    ({"tools": False}, chat("1", tools=[{"type": "function"}]), "forbidden", "tools are not allowed here"),
    ({"tools": False}, chat("1", functions=[{"name": "f"}]), "forbidden", "tools"),
    ({"tools": False}, {"messages": [{"role": "tool", "content": "x"}]}, "forbidden", "tools"),
    ({"tools": False}, {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "forbidden", "tools"),
    ({"tools": False}, {"input": [{"type": "function_call_output", "output": "x"}]}, "forbidden", "tools"),
]


@pytest.mark.parametrize(("settings", "body", "kind", "message"), LIMITS)
def test_limits(settings: dict[str, Any], body: object, kind: str | None, message: str) -> None:
    verdict = ask(make_plugin(**settings), body)
    assert (verdict.kind if verdict is not None else None) == kind
    if verdict is not None:
        assert message in verdict.message and verdict.detail


def test_the_model_is_the_one_that_is_routed_to() -> None:
    plugin = make_plugin(models=["team-*"])
    assert ask(plugin, chat("x"), model="team-a") is None
    verdict = ask(plugin, chat("x", model="team-a"), model="heavy")
    assert verdict is not None and verdict.kind == "model_not_found" and verdict.message == ""


@pytest.mark.parametrize("has_come", [True, False])
def test_a_body_that_is_too_large_is_413(has_come: bool) -> None:
    with pytest.raises(GatewayError) as failed:
        ask(make_plugin(max_bytes=50), chat("x" * 100), has_come=has_come)
    assert failed.value.kind.name == "body_too_large"


UNKNOWN: list[bytes] = [
    b"",
    b"not json",
    b"[]",
    b"{}",
    b'{"messages": null}',
    b'{"question": "x"}',
    b'{"messages": [{"content": "evil"}], "messages": [{"content": "good"}]}',
    b'{"messages": [{"content": "evil", "content": "good"}]}',
    b'{"Messages": [{"content": "evil"}], "messages": [{"content": "good"}]}',
    b'{"messages": [{"role": "user", "Role": "system", "content": "x"}]}',
    b'{"messages": [{"content": "\\ud800"}]}',
    b'{"messages": [{"content": "\xff"}]}',
    b'{"messages": [NaN]}',
    b'{"prompt": [1, 2, 3]}',
    b'{"input": [[1, 2], [3]]}',
    b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"\x1f\x8b\x08\x00compressed",
]


@pytest.mark.parametrize("body", UNKNOWN)
def test_what_cannot_be_read_is_refused_unless_it_is_to_pass(body: bytes) -> None:
    verdict = ask(make_plugin(deny_texts=["evil"]), body)
    assert verdict is not None and verdict.kind == "bad_body"
    assert ask(make_plugin(deny_texts=["evil"], on_unknown="pass"), body) is None


@pytest.mark.parametrize("depth", [50, 300, 900])
def test_depth_is_no_hiding_place_and_takes_no_longer(depth: int) -> None:
    content: object = "evil"
    for _ in range(depth):
        content = [content]
    verdict = ask(make_plugin(deny_texts=["evil"]), chat(content))
    assert verdict is not None and verdict.kind in ("forbidden", "bad_body")


def test_tokens_pass_where_no_text_is_looked_for() -> None:
    assert ask(make_plugin(max_messages=3), {"input": [1, 2, 3]}) is None


def test_names_are_no_texts() -> None:
    plugin = make_plugin(deny_texts=["user", "content", "image_url", "aGlkZGVu"])
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGlkZGVu"}}
    assert ask(plugin, {"messages": [{"role": "user", "content": [image]}]}) is None


def test_a_request_without_a_body_is_nobodys_prompt() -> None:
    assert make_plugin(deny_texts=["x"]).headgate_request(make_exchange()) is None


def test_a_route_sets_what_it_wants_otherwise() -> None:
    plugin = make_plugin(deny_texts=["evil"], max_characters=4)
    options = {"guard": PromptGuard.RouteOptions.model_validate({"max_characters": 10})}
    assert ask(plugin, chat("12345")) is not None
    assert ask(plugin, chat("12345"), options=options) is None
    assert ask(plugin, chat("an evil"), options=options) is not None


def test_a_guard_that_breaks_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = make_plugin(deny_texts=["evil"])

    def broken(self: Patterns, text: str) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(Patterns, "is_in", broken)
    with pytest.raises(GatewayError) as failed:
        ask(plugin, chat("x"))
    assert failed.value.kind.name == "stage_failed"
