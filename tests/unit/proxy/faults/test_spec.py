"""The grammar of faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.faults.catalogue import KINDS, MAX_DURATION_MS, Kind, Parameter, Value, listing
from headgate.proxy.faults.spec import Spec, SpecError, parse

COUNTS = st.integers(0, 999_999_999)
DURATIONS = st.integers(1, MAX_DURATION_MS)
NAMES = st.text("abcXYZ019._:/@+-", min_size=1, max_size=100)


def values(parameter: Parameter) -> st.SearchStrategy[Value]:
    """Draw values of an argument or key."""
    if parameter.shape == "CODE":
        return st.integers(200, 599)
    if parameter.shape == "DURATION":
        return DURATIONS
    if "|" in parameter.shape:
        return st.sampled_from(parameter.shape.split("|"))
    return COUNTS


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    kind: Kind = KINDS[draw(st.sampled_from(list(KINDS)))]
    keys = []
    for key in kind.keys:
        value = draw(values(key) if key.default is not None else st.none() | values(key))
        keys += [(key.name, value)] if value is not None else []
    argument = None if kind.argument is None else draw(values(kind.argument))
    if kind.name == "refuse":
        return Spec(kind.name, argument, tuple(keys))
    return Spec(
        kind=kind.name,
        argument=argument,
        keys=tuple(keys),
        times=draw(st.none() | st.integers(1, 999_999_999)),
        for_ms=draw(st.none() | DURATIONS),
        is_for_all=draw(st.booleans()),
        at=draw(st.none() | NAMES),
    )


@given(specs())
def test_what_is_written_is_read_again(spec: Spec) -> None:
    assert parse(str(spec)) == spec


@given(specs())
def test_parts_may_stand_in_any_order_and_with_spaces(spec: Spec) -> None:
    first, *parts = str(spec).split(",")
    assert parse(" , ".join([first, *reversed(parts)])) == spec


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_fault_has_a_sentence_and_works_without_what_may_be_left_out(kind: Kind) -> None:
    needed = {"status": "status:418", "cut_byte": "cut_byte:7"}
    assert parse(needed.get(kind.name, kind.name)).kind == kind.name
    assert any(line.startswith(kind.form) and line.endswith(kind.sentence) for line in listing().splitlines())


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("429", Spec("429")),
        ("429,retry_after=2", Spec("429", keys=(("retry_after", 2),))),
        ("status:418", Spec("status", 418)),
        ("cut", Spec("cut", 3, (("how", "reset"),))),
        ("cut:0,how=close,once", Spec("cut", 0, (("how", "close"),), times=1)),
        ("stale", Spec("stale", keys=(("how", "close"),))),
        ("late_head:250ms,for=5s", Spec("late_head", 250, for_ms=5000)),
        ("silence,on=all,at=heavy", Spec("silence", is_for_all=True, at="heavy")),
        ("silence,on=completions", Spec("silence")),
    ],
)
def test_examples(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'got the fault "";'),
        ("cutt:3", "did you mean `cut`? wanted one of well, 429, 500"),
        ("500:3", 'got "500:3", wanted 500: it takes no argument'),
        ("status", "wanted status:CODE[,retry_after=SECONDS] with a status from 200 to 599"),
        ("status:99", 'got "99" for code of status, wanted a status from 200 to 599'),
        ("cut:-1", 'got "-1" for k of cut, wanted a whole number of tokens'),
        ("cut:", 'got "" for k of cut'),
        ("cut:\u0663", "for k of cut"),
        ("cut:1,how=gently", 'got "gently" for how of cut, wanted `reset` or `close`'),
        ("cut:1,when=now", 'got "when=now" in cut, wanted one of how=, times=, for=, on=, at=, once'),
        ("cut:1,", 'got "" in cut, wanted'),
        ("500,times=0", "wanted a whole number from 1"),
        ("500,times=2,once", "got times twice in 500"),
        ("500,for=5", "wanted a duration above zero such as `500ms` or `2s`"),
        ("late_head:0s", "wanted a duration above zero"),
        ("late_head:0.5ms", "wanted a duration above zero"),
        ("late_head:2h", "wanted a duration above zero"),
        ("refuse:1s,once", 'got "once" in refuse, wanted refuse[:DURATION]'),
        ("500,at=a b", "wanted the name of an upstream"),
        ("500" + ",once" * 200, "got a fault of 1003 characters, wanted at most 500"),
    ],
)
def test_a_bad_spec_is_one_line_that_says_what_was_wanted(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse(str(parse(text))) == parse(text)
    except SpecError as error:
        assert "wanted" in str(error)
