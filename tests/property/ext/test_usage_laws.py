"""Laws of the usage of answers: whatever comes is read as orjson reads it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ext import implementation

from .body_writer import INTEGERS, BodyWriter

Read = Callable[[bytes], tuple[int | None, int | None]]
TWIN = implementation("head_scan", "twin")  # which asks orjson


class AnswerWriter(BodyWriter):
    """Writes answers at random."""

    def answer(self) -> bytes:
        counts = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), lambda: self.pick(INTEGERS))
        odd = self.pick(("Usage", "usag\\u0065", "prompt\\u005ftokens", "prompt_token", "é"))
        rare: dict[str, Callable[[], str]] = {odd: self.value} if self.random.random() < 0.1 else {}
        usage = partial(self.json_object, 0.8, **counts, prompt_tokens_details=self.value, **rare)
        members: dict[str, Callable[[], str]] = {
            "id": self.text,
            "choices": self.value,
            "usage": lambda: self.pick((usage(), usage(), usage(), self.value())),
            "x": self.value,
        }
        blank = self.blank()
        text = (blank + self.json_object(0.7, **members, **rare) + blank).encode()
        return text if self.random.random() < 0.6 else self.mutated(text)


@settings(max_examples=100)
@given(writer=st.integers(0, 2**32).map(AnswerWriter))
def test_answers_are_read_as_orjson_reads_them(read_usage: Read, writer: AnswerWriter) -> None:
    for _ in range(50):
        body = writer.answer()
        assert read_usage(body) == TWIN.read_usage(body), body


@settings(max_examples=500)
@given(body=st.binary(max_size=40) | st.text('{}[]":,\\u0e5.-+tfn \n\x00é😀', max_size=40).map(str.encode))
def test_whatever_comes_is_read_as_orjson_does(read_usage: Read, body: bytes) -> None:
    usage = b'{"usage":{"prompt_tokens":1,'
    for each in (body, usage + body, usage + b'"completion_tokens":' + body + b"}}", usage + b'"a":"' + body + b'"}}'):
        assert read_usage(each) == TWIN.read_usage(each), each


def test_the_writer_writes_answers_that_tell_something() -> None:
    told = [TWIN.read_usage(AnswerWriter(seed).answer()) for seed in range(300)]
    assert {(a is None, b is None) for a, b in told} == {(True, True), (True, False), (False, True), (False, False)}
