"""Laws of lines of JSON: they read back, they are one line, and twin and compiled one agree to the byte."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from headgate.ext import IMPLEMENTATIONS, implementation
from headgate.ext.json_line import LineFormat

TEXTS = st.text() | st.text(st.characters(max_codepoint=0x7F)) | st.text('a"\\\n\x00\ud800é', max_size=40)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | TEXTS
    | st.lists(TEXTS | st.integers(), max_size=3).map(tuple)
    | st.dictionaries(TEXTS | st.integers(), TEXTS | st.none(), max_size=3)
    | st.binary(max_size=5)
)
SPANS = st.floats(0, 1e6) | st.floats() | st.integers(-(2**70), 2**70) | st.none()
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6, unique=True)


@given(NAMES, st.data(), st.integers(1, 50))
def test_twin_and_compiled_one_agree_to_the_byte(names: list[str], data: st.DataObject, max_text: int) -> None:
    spans = names[::2]
    values = tuple(data.draw(SPANS if name in spans else VALUES) for name in names[: data.draw(st.integers(0, 6))])
    lines = set()
    for which in IMPLEMENTATIONS:
        kind: type[LineFormat] = implementation("json_line", which).LineFormat
        lines.add(kind(names, spans, max_text).line(values))
    (line,) = lines
    assert line.endswith(b"}\n") and line.count(b"\n") == 1
    assert list(orjson.loads(line)) == names[: len(values)]


@given(text=TEXTS)
def test_a_text_reads_back_whole_but_for_halves_of_surrogate_pairs(
    line_format_type: type[LineFormat], text: str
) -> None:
    line = line_format_type(["text"], max_text=len(text) + 1).line((text,))
    assert orjson.loads(line)["text"] == text.encode("utf-8", "replace").decode()


@given(seconds=st.floats(0, 1e8))
def test_a_span_is_right_to_half_a_microsecond(line_format_type: type[LineFormat], seconds: float) -> None:
    shown_ms = orjson.loads(line_format_type(["span"], ["span"]).line((seconds,)))["span"]
    assert abs(shown_ms - seconds * 1000) <= 0.0005 + seconds * 1e-12
