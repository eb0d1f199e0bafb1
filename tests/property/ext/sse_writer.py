"""Writes the JSON of chunks, and streams of them, at random: mostly as they are, some badly wrong."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from headgate.ext._sse_facts import CONTENT_KEYS

MARK = b"\xef\xbb\xbf"
GOOD = (
    *("null", "true", "false", "0", "1", "-0", "12", "1.0", "1e0", "0.5e-07", "1E+5", "-12.5e-3", "9" * 18, str(2**64)),
    *('""', '"a"', '"stop"', '" "', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\n"', '"a\\/b"'),
    *('"\x7f"', '"é你😀"', '"\u2028"'),
)
ODD = (
    *("128", "-1", "9" * 19, str(2**64 - 1), "1e99", "1e100", "1e308", "1e309", "9" * 39, "9" * 41, "9" * 310),
    *("01", ".", "nul", '"', '"\\ud800"', '"\x1f"', '"\\x"'),
    *(f'"{"r" * 64}"', f'"{"r" * 65}"', f'"{"é" * 33}"', f'"{"é" * 65}"'),
    *("[" * depth + "]" * depth for depth in (28, 32, 36, 1100)),
)
REASONS = ("null", "null", "null", '""', '"stop"', '"length"', '"tool_calls"', '"\\u0061"')
COUNTS = ("0", "7", "42", "null", "-1", "1.5", '"1"', "9" * 18, "9" * 19, "9" * 20)
WHOLE = ("[DONE]", " [DONE]", "", "{}", "[]", "1", '{"error": "e"}', '{"error": null}', '{"type": "ping"}')
FRAGMENTS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"0", b"-", b".", b"e"),
    *(b"\\u", b"\\ud83d", b"\\ude00", b"\xe4", b"\xbd", b"\xed\xa0\x80", b"\xc0\x80", b"\x00", b"\x1f", b"\xff", MARK),
    *(b"data: ", b"data:", b"id: 7", b"event: error", b": c", b"[DONE]", b"null"),
    *(b'"index":', b'"error":', b'"choices":'),
)


class Writer:
    """Writes in bulk from one seed, which is faster than drawing each part; what fails is in the assertion."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice

    def stream(self) -> bytes:
        parts = [self.pick((b"", b"", b"", MARK, b"\n")), *(self.event() for _ in range(self.random.randrange(5)))]
        return b"".join(parts) if self.random.random() < 0.5 else self.mutated(b"".join(parts))

    def event(self) -> bytes:
        end = self.pick((b"\n", b"\n", b"\r\n", b"\r"))
        first = self.pick((b"", b"", b"id: 1", b"id: 2\x00", b"event: ping", b"event: error", b": c", b"x"))
        lines = [*([first] if first else []), *(b"data: " + line for line in self.data().splitlines() or [b""])]
        return b"".join(line + end for line in [*lines, b""])

    def data(self) -> bytes:
        blank, is_chunk = self.blank(), self.random.random() < 0.9
        text = (blank + self.chunk() + blank if is_chunk else self.pick((*WHOLE, self.value()))).encode()
        return text if self.random.random() < 0.7 else self.mutated(text)

    def mutated(self, whole: bytes) -> bytes:
        """Write `whole` with some bytes flipped, cut out, or put in."""
        text = bytearray(whole)
        for _ in range(self.random.randrange(1, 4)):
            at, size = self.random.randrange(len(text) + 1), self.random.randrange(4)
            text[at : at + size] = self.random.randbytes(size) if self.random.random() < 0.3 else self.pick(FRAGMENTS)
        return bytes(text)

    def blank(self) -> str:
        return self.pick(("", "", "", "", " ", "\n", " \t\r\n"))

    def json_list(self, *written: str) -> str:
        blank = self.blank()
        return f"[{blank}" + f"{blank},{blank}".join(written) + f"{blank}]"

    def json_object(self, likelihood: float, **members: Callable[[], str]) -> str:
        """Write each member as often as `likelihood` says; rarely one twice, with an escape, or of another type."""
        names = [name for name in members if self.random.random() < likelihood]
        names += [self.pick(names)] if names and self.random.random() < 0.03 else []
        self.random.shuffle(names)
        blank = self.blank()
        written = []
        for name in names:
            value = members[name]() if self.random.random() < 0.98 else self.value()
            spelled = name if self.random.random() < 0.99 else f"\\u{ord(name[0]):04x}{name[1:]}"
            written.append(f'"{spelled}"{blank}:{blank}{value}')
        return f"{{{blank}" + f"{blank},{blank}".join(written) + f"{blank}}}"

    def value(self, depth: int = 3) -> str:
        chance = self.random.random()
        if depth == 0 or chance < 0.6:
            return self.pick(GOOD) if self.random.random() < 0.98 else self.pick(ODD)
        if chance < 0.8:
            return self.json_list(*(self.value(depth - 1) for _ in range(self.random.randrange(4))))
        return self.json_object(
            0.1, **dict.fromkeys(("choices", "index", "error", *CONTENT_KEYS), lambda: self.value(depth - 1))
        )

    def chunk(self) -> str:
        num_choices = self.pick((0, 1, 1, 1, 1, 2, 3, 8, 9))
        return self.json_object(
            0.8,
            id=lambda: '"c-1"',
            choices=lambda: self.json_list(*(self.choice() for _ in range(num_choices))),
            usage=lambda: self.pick(("null", self.usage())),
            model=lambda: self.pick(('"m"', '""', '"a\\/b"', '"é"')),
            error=lambda: "null",
            x=self.value,
        )

    def choice(self) -> str:
        return self.json_object(
            0.8,
            index=lambda: self.pick(("0", "0", "0", "1", "2", "127", "null")),
            delta=self.delta,
            finish_reason=lambda: self.pick(REASONS),
            **(
                dict[str, Callable[[], str]](text=lambda: self.pick(('""', '"a"', "null"))) if self.pick((0, 1)) else {}
            ),
        )

    def delta(self) -> str:
        return self.json_object(0.2, role=lambda: '"a"', **dict.fromkeys(CONTENT_KEYS, self.value))

    def usage(self) -> str:
        return self.json_object(
            0.8, prompt_tokens=lambda: self.pick(COUNTS), completion_tokens=lambda: self.pick(COUNTS), x=self.value
        )

    def cut(self, stream: bytes) -> list[bytes]:
        """Cut into a few pieces, or into all its bytes."""
        if self.random.random() < 0.2:
            return [stream[at : at + 1] for at in range(len(stream))]
        at = sorted(self.random.randrange(len(stream) + 1) for _ in range(self.random.randrange(6)))
        return [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]
