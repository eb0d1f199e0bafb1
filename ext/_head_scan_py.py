"""The head of a JSON request body in pure Python: the specification of the compiled scan."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ._sse_facts import MAX_CHOICES
from ._usage_py import read_usage as read_usage

MAX_MEMBERS = 1000
MAX_DEPTH = 128  # containers in each other
MAX_DIGITS = 18
MAX_NUMBER_BYTES = 40  # with an exponent of two digits: far from infinity
BLOCK_BYTES = 512
MAX_BLOCKS = 32

Span = tuple[int, int]
_BLANKS = re.compile(rb"[ \t\n\r]*+")  # RFC 8259 §2
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]{1,2}(?![0-9]))?")
_LITERAL = re.compile(rb"true|false|null")
_UNICODE = (
    rb"[0-9abcefABCEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}",
    rb"[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",  # a pair of surrogates: one character
)
_WIDE = (  # RFC 3629 §4
    rb"[\xc2-\xdf][\x80-\xbf]",
    rb"\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}",
    rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}",
)
_STRING = re.compile(rb'"(?:[ !#-\[\]-\x7f]++|\\["\\/bfnrt]|\\u(?:%b)|%b)*+"' % (b"|".join(_UNICODE), b"|".join(_WIDE)))


@dataclass(frozen=True, slots=True)
class BodyScan:
    """What the top level of a JSON object tells that matters to a gateway. Immutable.

    `body` is the object's text. Spans are positions of bytes in it, of a value's JSON text: `model_span` of the model,
    and where there is none, twice the place where it may be put; `prompt_span` of `messages`, or else of `prompt`.
    A number is None where it is not told, or is no integer of at most 18 digits.
    """

    body: bytes = field(repr=False)
    model: str | None
    model_span: Span
    is_stream: bool = field(default=False, kw_only=True)
    is_usage_wanted: bool = field(default=False, kw_only=True)  # stream_options.include_usage
    n: int | None = field(default=None, kw_only=True)
    max_tokens: int | None = field(default=None, kw_only=True)
    max_completion_tokens: int | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    user: str | None = field(default=None, kw_only=True)
    prompt_span: Span | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Raises: ValueError where a span is not inside the body."""
        for start, end in (self.model_span, self.prompt_span or (0, 0)):
            if not 0 <= start <= end <= len(self.body):
                raise ValueError(f"expected a span inside {len(self.body)} bytes, got {start} to {end}")

    @property
    def num_choices(self) -> int:
        """How many choices a whole answer has; what no service would take counts as one."""
        return self.n if self.n is not None and 1 <= self.n <= MAX_CHOICES else 1

    def with_model(self, model: str) -> bytes:
        """Return the body with another model, everything else as it came. Cost: one copy.

        Raises: TypeError where `model` holds half of a surrogate pair.
        """
        start, end = self.model_span
        written = orjson.dumps(model)
        if self.model is None:
            is_alone = self.body.startswith(b"}", _after(_BLANKS, self.body, start))
            written = b'"model": ' + written + (b"" if is_alone else b", ")
        return b"".join((memoryview(self.body)[:start], written, memoryview(self.body)[end:]))

    def prefix_hashes(self) -> tuple[int, ...]:
        """Return a number of 64 bits for each of the prompt's beginnings of 512, 1024, ... bytes, at most 32 of them.

        They are taken over the prompt's JSON text as it came: prompts that begin alike have the same first numbers.
        Each goes on from the one before it, over the block's bytes as 64 words of 8 (the first byte lowest) and a word
        of 0: `state = (state ^ word) * PRIME mod 2**64`, then `state ^= state >> 32`. That is FNV-1a by words, folded;
        it is no secret, so that who wants to can make two prompts look alike.
        Source: draft-eastlake-fnv §2. Cost: linear in the prompt, up to 16 KiB; nothing is kept.
        """
        start, end = self.prompt_span or (0, 0)
        num_blocks = min((end - start) // BLOCK_BYTES, MAX_BLOCKS)
        state, hashes = _BASIS, []
        for at in range(start, start + num_blocks * BLOCK_BYTES, BLOCK_BYTES):
            for word in (*_BLOCK.unpack_from(self.body, at), 0):
                state = (state ^ word) * _PRIME & 0xFFFFFFFFFFFFFFFF
                state ^= state >> 32
            hashes.append(state)
        return tuple(hashes)


_BLOCK = struct.Struct(f"<{BLOCK_BYTES // 8}Q")
_BASIS = 0xCBF29CE484222325  # FNV's
_PRIME = 0x9E3779B97F4A7C15  # odd, with its bits spread: FNV's own is for bytes


def scan_head(body: bytes) -> BodyScan | None:
    """Read the top level of a JSON object, all of which is checked, in one pass. None where anything is odd.

    Odd is what is not plainly one JSON object in UTF-8 (RFC 8259), and what another reader might understand in another
    way: then a full parser decides. Beside bad JSON that is
    - more than 1000 members, 128 containers in each other, a number of more than 40 bytes or with an exponent of more
      than two digits, half of a surrogate pair;
    - an escape in a name of the top level or of `stream_options`, and `model` in other letters;
    - a name that stands twice among those that are read: `model`, `stream`, `stream_options` and its `include_usage`,
      `n`, `max_tokens`, `max_completion_tokens`, `seed`, `user`, `messages`, `prompt`;
    - a value of theirs that is not of its type or null (but no null for `model`): a string without escapes; true or
      false; an object; an integer of at most 18 digits; anything for the last two.
    Cost: linear in the body.
    """
    try:
        return _read(body)
    except _OddError:
        return None


class _OddError(Exception):
    """Something that a full parser has to look at."""


class _Text:
    """Steps over JSON text. Each step begins with blanks, and raises _OddError where it cannot be taken."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def blanks(self) -> int:
        """Return where the next thing begins."""
        self.at = _after(_BLANKS, self.body, self.at)
        return self.at

    def take(self, pattern: re.Pattern[bytes]) -> bytes:
        start = self.blanks()
        self.at = _after(pattern, self.body, start)
        if self.at == start:
            raise _OddError
        return self.body[start : self.at]

    def is_next(self, byte: bytes) -> bool:
        """Step over `byte`, if that is next."""
        is_next = self.body.startswith(byte, self.blanks())
        self.at += is_next
        return is_next

    def expect(self, byte: bytes) -> None:
        if not self.is_next(byte):
            raise _OddError

    def keys(self) -> Iterator[bytes]:
        """Step through an object: give out each key as it is written, then go on from behind its value."""
        self.expect(b"{")
        if self.is_next(b"}"):
            return
        while True:
            key = self.take(_STRING)[1:-1]
            self.expect(b":")
            yield key
            if self.is_next(b"}"):
                return
            self.expect(b",")

    def names(self, wanted: frozenset[bytes]) -> Iterator[bytes]:
        """As `keys`, for a reader of the `wanted` ones."""
        seen = set[bytes]()
        for name in self.keys():
            if b"\\" in name or name in seen:
                raise _OddError
            seen |= wanted & {name}
            yield name

    def value(self, depth: int = MAX_DEPTH - 1) -> None:
        """Step over any value that has at most `depth` containers in each other."""
        is_object = self.body.startswith(b"{", self.blanks())
        if not is_object and not self.body.startswith(b"[", self.at):
            self.scalar()
        elif depth == 0:
            raise _OddError
        elif is_object:
            for _ in self.keys():
                self.value(depth - 1)
        else:
            self.items(depth - 1)

    def items(self, depth: int) -> None:
        self.expect(b"[")
        if self.is_next(b"]"):
            return
        self.value(depth)
        while not self.is_next(b"]"):
            self.expect(b",")
            self.value(depth)

    def scalar(self) -> None:
        if self.body.startswith(b'"', self.blanks()):
            self.take(_STRING)
        elif self.body.startswith((b"t", b"f", b"n"), self.at):
            self.take(_LITERAL)
        else:
            self.number()

    def number(self) -> bytes:
        digits = self.take(_NUMBER)
        if len(digits) > MAX_NUMBER_BYTES:
            raise _OddError
        return digits

    def null(self) -> bool:
        is_null = self.body.startswith(b"null", self.blanks())
        self.at += 4 * is_null
        return is_null


def _after(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    found = pattern.match(body, at)
    return found.end() if found else at


def _string(text: _Text) -> str:
    written = text.take(_STRING)
    if b"\\" in written:
        raise _OddError
    return written[1:-1].decode()


def _truth(text: _Text) -> bool:
    return text.take(_TRUTH) == b"true"


def _integer(text: _Text) -> int:
    digits = text.number()
    if not digits.removeprefix(b"-").isdigit() or len(digits.removeprefix(b"-")) > MAX_DIGITS:
        raise _OddError
    return int(digits)


def _usage(text: _Text) -> bool:
    is_wanted = False
    for name in text.names(frozenset({b"include_usage"})):
        if name != b"include_usage":
            text.value(MAX_DEPTH - 2)
        elif not text.null():
            is_wanted = _truth(text)
    return is_wanted


_TRUTH = re.compile(rb"true|false")
_READERS: Mapping[bytes, Callable[[_Text], object]] = {
    b"model": _string,
    b"stream": _truth,
    b"stream_options": _usage,
    b"n": _integer,
    b"max_tokens": _integer,
    b"max_completion_tokens": _integer,
    b"seed": _integer,
    b"user": _string,
    b"messages": _Text.value,
    b"prompt": _Text.value,
}
_NAMES = frozenset(_READERS)


def _read(body: bytes) -> BodyScan:
    text = _Text(body)
    facts: dict[bytes, Any] = {}
    spans: dict[bytes, Span] = {}
    for count, name in enumerate(text.names(_NAMES), 1):
        if count > MAX_MEMBERS or (name.lower() == b"model") > (name == b"model"):
            raise _OddError
        start = text.blanks()
        if name not in _READERS:
            text.value()
        elif name == b"model" or not text.null():
            facts[name] = _READERS[name](text)
        spans[name] = start, text.at
    if text.blanks() < len(body):
        raise _OddError
    first = body.index(b"{") + 1
    return BodyScan(
        body,
        facts.get(b"model"),
        spans.get(b"model", (first, first)),
        is_stream=facts.get(b"stream", False),
        is_usage_wanted=facts.get(b"stream_options", False),
        n=facts.get(b"n"),
        max_tokens=facts.get(b"max_tokens"),
        max_completion_tokens=facts.get(b"max_completion_tokens"),
        seed=facts.get(b"seed"),
        user=facts.get(b"user"),
        prompt_span=spans.get(b"messages", spans.get(b"prompt")),
    )
