"""Every fault there is: its name, its argument, its keys, and what it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..config.units import duration_text, parse_duration

Value = int | str  # a duration is whole milliseconds

MAX_DURATION_MS = 3_600_000
NAME = re.compile(r"[A-Za-z0-9._:/@+-]{1,100}")  # of an upstream; it stands in specs and in JSON as it is

_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or a key. `shape` is how it is written in a form; without a default an argument has to be given."""

    name: str
    shape: str
    wanted: str
    read: Callable[[str], Value]
    default: Value | None = None
    write: Callable[[Value], str] = str


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault."""

    name: str
    sentence: str
    argument: Parameter | None = None
    keys: tuple[Parameter, ...] = ()

    @property
    def form(self) -> str:
        """How a spec of this kind is written, without the keys that all share."""
        text = self.name
        if self.argument is not None:
            text += f":{self.argument.shape}" if self.argument.default is None else f"[:{self.argument.shape}]"
        return text + "".join(f"[,{key.name}={key.shape}]" for key in self.keys)


def _read_count(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _read_positive(text: str) -> int:
    if not (number := _read_count(text)):
        raise ValueError(text)
    return number


def _read_status(text: str) -> int:
    if not 200 <= (status := _read_count(text)) <= 599:
        raise ValueError(text)
    return status


def _read_duration(text: str) -> int:
    duration_ms = parse_duration(text) * 1000
    if not 0 < duration_ms <= MAX_DURATION_MS or abs(duration_ms - round(duration_ms)) > 1e-6:
        raise ValueError(text)
    return round(duration_ms)


def _write_duration(value: Value) -> str:
    return duration_text(int(value) / 1000)


def _read_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(text)
    return text


def _count(name: str, default: int | None, wanted: str = "a whole number") -> Parameter:
    return Parameter(name, name, wanted, _read_count, default)


def _duration(name: str, default_ms: int | None) -> Parameter:
    wanted = "a duration above zero such as `500ms` or `2s`, at most 1h"
    return Parameter(name, "DURATION", wanted, _read_duration, default_ms, _write_duration)


def _choice(name: str, *options: str) -> Parameter:
    """One of `options`; the first is the default."""

    def read(text: str) -> str:
        if text not in options:
            raise ValueError(text)
        return text

    return Parameter(name, "|".join(options), " or ".join(f"`{option}`" for option in options), read, options[0])


_AFTER = _count("k", 3, "a whole number of tokens")
_RETRY_AFTER = Parameter("retry_after", "SECONDS", "a whole number of seconds", _read_count)
_RESET_OR_CLOSE = _choice("how", "reset", "close")
_CLOSE_OR_RESET = _choice("how", "close", "reset")

_ROWS = (
    Kind("well", "answers well: a place in a script where nothing happens"),
    Kind("429", "answers 429, busy", keys=(_RETRY_AFTER,)),
    Kind("500", "answers 500, failed"),
    Kind("503", "answers 503, overloaded", keys=(_RETRY_AFTER,)),
    Kind(
        "status",
        "answers with any status from 200 to 599 and an error as its body",
        Parameter("code", "CODE", "a status from 200 to 599", _read_status),
        (_RETRY_AFTER,),
    ),
    Kind("context_length", "answers 400 with the code context_length_exceeded"),
    Kind("content_filter", "answers 400 with the code content_filter"),
    Kind("no_prefill", "answers 400 where the last message is the assistant's, and everything else well"),
    Kind("reset", "reads the request, then resets the connection (RST) before a head"),
    Kind("close", "reads the request, then closes the connection (FIN) before a head"),
    Kind("silence", "reads the request and never answers"),
    Kind("refuse", "stops listening for this long: connections are refused, idle ones closed", _duration("for", 5000)),
    Kind("late_head", "sends nothing for this long, then answers well", _duration("wait", 2000)),
    Kind("late_token", "sends the head at once, the first event this much later", _duration("wait", 12_000)),
    Kind("cut", "ends the connection after k tokens", _AFTER, (_RESET_OR_CLOSE,)),
    Kind(
        "cut_byte",
        "ends the connection after N bytes of the body; an answer of fewer bytes is sent whole",
        _count("N", None, "a whole number of bytes"),
        (_RESET_OR_CLOSE,),
    ),
    Kind("clean_end", "ends the answer in good order after k tokens, without finish_reason and [DONE]", _AFTER),
    Kind("stall", "sends k tokens, then nothing more", _AFTER),
    Kind(
        "drip",
        "sends k tokens, then the next event byte by byte: for ever, or until it is whole and the rest follows",
        _AFTER,
        (_duration("every", 100), _choice("end", "never", "whole")),
    ),
    Kind(
        "bad_json", "sends an event that is not JSON after k tokens, then goes on; a whole answer lacks its end", _AFTER
    ),
    Kind("bad_chunk", "sends a chunk without a size after k tokens, then closes", _AFTER),
    Kind("no_done", "leaves [DONE] out"),
    Kind("no_usage", "leaves the usage out, asked for or not"),
    Kind("error_event", "sends an error as an event after k tokens and ends; a whole answer is a 500", _count("k", 0)),
    Kind("filter_finish", "ends after k tokens with the finish_reason content_filter", _AFTER),
    Kind("stale", "answers well, then ends the connection when the next request comes on it", None, (_CLOSE_OR_RESET,)),
    Kind(
        "short_body",
        "declares a Content-Length that is N bytes too long, sends the body and closes",
        _count("N", 1, "a whole number of bytes"),
    ),
    Kind("slow_body", "spreads the body over this long, in pieces that end anywhere", _duration("over", 5000)),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ROWS}

# What every spec may say, in the order in which it is written. `once` is `times=1`.
TIMES = Parameter("times", "N|once", "a whole number from 1", _read_positive)
FOR = _duration("for", None)
ON = _choice("on", "completions", "all")
AT = Parameter("at", "NAME", "the name of an upstream", _read_name)
SHARED: dict[str, Parameter] = {key.name: key for key in (TIMES, FOR, ON, AT)}


def listing() -> str:
    """Return every fault with its sentence, and what all have in common."""
    width = max(len(kind.form) for kind in KINDS.values())
    lines = [f"{kind.form:<{width}}  {kind.sentence}" for kind in KINDS.values()]
    return "\n".join([*lines, "", *_SHARED_SENTENCES])


_SHARED_SENTENCES = (
    "All but refuse take, too: ,times=N or ,once (ends after so many requests), ,for=DURATION (ends after so long),",
    ",on=all (meets every request, not only completions), and in the field x-fault ,at=NAME (only the upstream of this",
    "name does it). What stands in brackets may be left out: cut is cut:3,how=reset.",
)
