"""Request ids and W3C trace context."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.observe.tracing import continue_trace, new_request_id

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PATTERN = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize("given_id", ["a", "0b9f-41:x_y.z", "x" * 128])
def test_a_plain_request_id_is_kept(given_id: str) -> None:
    assert new_request_id(given_id) == given_id


@pytest.mark.parametrize("given_id", [None, "", " ", "a b", "a\n", "x" * 129, "\u00e9", '"', "a,b", "a;b"])
def test_any_other_is_replaced_by_a_new_one(given_id: str | None) -> None:
    first, second = new_request_id(given_id), new_request_id(given_id)
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{32}", first)


@pytest.mark.parametrize(
    ("flags", "sent"),
    [("00", f"00-{TRACE}-{PARENT}-00"), ("01", f"00-{TRACE}-{PARENT}-01"), ("09", f"cc-{TRACE}-{PARENT}-09-later")],
)
def test_a_sound_trace_goes_on_with_our_own_parent_id(flags: str, sent: str) -> None:
    told, trace = continue_trace(sent)
    assert (trace, told.split("-")[1], told.split("-")[3]) == (TRACE, TRACE, flags)
    assert told.split("-")[2] not in (PARENT, "0" * 16)
    assert PATTERN.fullmatch(told)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    ],
)
def test_any_other_begins_a_new_trace(sent: str | None) -> None:
    """W3C Trace Context §3.2.2."""
    told, trace = continue_trace(sent)
    assert PATTERN.fullmatch(told)
    assert trace != TRACE and told.split("-")[1] == trace and told.endswith("-01")


@given(st.text(max_size=60))
def test_whatever_comes_a_sound_trace_goes_out(sent: str) -> None:
    told, trace = continue_trace(sent)
    assert PATTERN.fullmatch(told) and told.split("-")[1] == trace
