"""A chat request that asks a target to go on with an answer which broke off.

The answer so far stands in it as a last message of the assistant: a prefill. How a service is told that it is to be
continued, and not answered, differs; each target declares its way.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from .body_scan import Member, members, with_texts
from .upstream.continuation import Prefill
from .verdicts import PrefillStyle

_LIMITS = ("max_tokens", "max_completion_tokens")
# What an answer is bound to as a whole, while its continuation would be bound to it anew, or says beside its text. With
# tools the service tells text and calls apart, and would see the rest alone; least tokens would be counted anew.
_BINDING = (
    "tools",
    "functions",
    "logprobs",
    "top_logprobs",
    "audio",
    "echo",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "structural_tag",
    "min_tokens",
    "json_schema",
    "regex",
    "ebnf",
    "grammar",
)
# By name: the only values, beside none, that leave an answer plain text.
_PLAIN: Mapping[str, object] = {"n": 1, "response_format": {"type": "text"}, "modalities": ["text"]}


def tokens_allowed(body: bytes) -> float:
    """Return how many tokens an answer to this request may have that is continued by a prefill.

    Infinity where the request bounds none; 0 where its answer is not to be continued. Cost: linear in the body.
    """
    try:
        found = members(body.decode())
    except (ValueError, StopIteration, RecursionError):
        return 0
    values = {member.key: member.value for member in found if member.value is not None}
    if len({member.key for member in found}) < len(found) or not _is_plain(values) or not _may_be_appended(values):
        return 0
    limits = [values[name] for name in _LIMITS if name in values]
    return min(limits, default=float("inf")) if all(type(limit) is int for limit in limits) else 0


def _is_plain(values: Mapping[str, object]) -> bool:
    is_bound = any(values.get(name) not in (None, False, [], 0) for name in _BINDING)  # {} is a grammar, too
    return not is_bound and all(values.get(name, plain) == plain for name, plain in _PLAIN.items())


def _may_be_appended(values: Mapping[str, object]) -> bool:
    """Whether the last message is there and not itself one that is to be continued."""
    messages = values.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") != "assistant"


def with_prefill(body: bytes, style: PrefillStyle, prefill: Prefill) -> bytes:
    """Return a request that `tokens_allowed` allows, with the answer so far; everything else stands as it came."""
    text = body.decode()
    found = members(text)
    by_key = {member.key: member for member in found}
    written = {"messages": _appended(text, by_key["messages"], _message(style, prefill.text))}
    for name in _LIMITS:
        if name in by_key and by_key[name].value is not None:
            written[name] = str(by_key[name].value - prefill.num_events)
    if style == "continue_final_message":
        written |= {"continue_final_message": "true", "add_generation_prompt": "false"}
    return with_texts(text, found, written).encode()


def _message(style: PrefillStyle, text: str) -> str:
    is_marked = style in ("prefix", "echoed_prefix")
    mark = {"prefix": True} if is_marked else {}
    return orjson.dumps({"role": "assistant", "content": text, **mark}).decode()


def _appended(text: str, messages: Member, message: str) -> str:
    return f"{text[messages.start : messages.end - 1]}, {message}]"
