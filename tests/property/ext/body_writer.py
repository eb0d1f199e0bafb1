"""Writes bodies of chat requests at random: mostly as clients send them, some badly wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .sse_writer import Writer

CHARACTERS = ("é", "я", "你", "\ud7ff", "\ue000", "\ud000", "\ufffd", "\u0800", "😀", "\U00010000", "\U0010ffff")
ESCAPES = ("\\n", '\\"', "\\\\", "\\/", "\\u00e9", "\\uD7FF", "\\ud83d\\ude00", "\\uDBFF\\uDFFF")
SMALL = ("0", "1", "2", "16", "128", "129", "4096", "9" * 18, "null")
INTEGERS = (*SMALL, *SMALL, "-1", "-0", "1.0", "1e2", "9" * 19, '"1"', "true", "[]")
TRUTHS = ("true", "true", "true", "false", "null", "1", '"true"', "{}")
MODELS = ('"m"', '"heavy-1"', '""', '"é你😀"', '"a\\/b"', '"\\u006d"', "null", "1", "[]")


class BodyWriter(Writer):
    """Beside what Writer says: `plain` writes what is never odd, and `body` anything, with all oddities."""

    def body(self) -> bytes:
        blank = self.blank()
        text = (blank + self.json_object(0.5, **self.members()) + blank).encode()
        return text if self.random.random() < 0.6 else self.mutated(text)

    def plain(self) -> bytes:
        """Write each member once, in any order, and values without oddities."""
        integer = self.pick(("0", "1", "-7", "9" * 18, "null"))
        pairs = [
            *(("model", self.pick(('"m"', '"é你😀"'))), ("stream", self.pick(("true", "false", "null")))),
            *(("n", integer), ("max_tokens", integer), ("max_completion_tokens", integer), ("seed", integer)),
            *(("user", self.pick(('"u"', "null", '"%s"' % ("é" * 20)))), ("messages", self.messages())),
            *(("stream_options", self.pick(('{"include_usage": true}', "null", "{}"))), ("prompt", self.text())),
            *(("x", self.pick(("1.5", "[]", "{}", "-0.25e-07", "false"))), ("é", self.text()), ("", '"\\u00e9"')),
        ]
        chosen = [pair for pair in pairs if self.random.random() < 0.6]
        self.random.shuffle(chosen)
        blank = self.blank()
        written = f"{blank},{blank}".join(f'"{name}"{blank}:{blank}{value}' for name, value in chosen)
        return f"{blank}{{{blank}{written}{blank}}}{blank}".encode()

    def members(self) -> dict[str, Callable[[], str]]:
        truth, integer = (lambda: self.pick(TRUTHS)), (lambda: self.pick(INTEGERS))
        usage = partial(self.json_object, 0.8, include_usage=truth, x=self.value)
        members = dict[str, Callable[[], str]](
            model=lambda: self.pick(MODELS),
            stream=truth,
            stream_options=lambda: self.pick((usage(), usage(), "null", "[]", "true")),
            user=lambda: self.pick((self.text(), '"u"', '"é"', "null", "1")),
            messages=lambda: self.pick((self.messages(), self.messages(), self.value())),
            prompt=lambda: self.pick((self.text(), self.value())),
            x=self.value,
        )
        members |= dict.fromkeys(("n", "max_tokens", "max_completion_tokens", "seed"), integer)
        rare = {self.pick(("Model", "modem", "N", "é", "max_token", "messages2", "x" * 33)): self.value}
        return members | rare if self.random.random() < 0.1 else members

    def messages(self) -> str:
        messages = [f'{{"role": "user", "content": {self.text()}}}' for _ in range(self.random.randrange(4))]
        return self.json_list(*messages)

    def text(self) -> str:
        """Write a string of any length, of any characters and escapes."""
        kinds = self.pick((("a",), ("a", "b c"), CHARACTERS, ESCAPES, ("a", *CHARACTERS), (*ESCAPES, "abc", "你")))
        parts = [self.pick(kinds) * self.pick((1, 1, 1, 7, 40)) for _ in range(self.random.randrange(12))]
        return f'"{"".join(parts)}"'
