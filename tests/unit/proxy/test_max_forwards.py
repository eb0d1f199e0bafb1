"""How far OPTIONS and TRACE may go (RFC 9110 §7.6.2)."""

from __future__ import annotations

import pytest

from headgate.proxy.errors import GatewayError
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.max_forwards import answer_as_last_hop


class NoBody:
    length = 0
    is_empty = True

    async def read(self, limit_bytes: int) -> bytes:
        return b""

    def arrived(self, limit_bytes: int) -> bytes | None:
        return b""

    def replace(self, data: bytes) -> None:
        raise AssertionError("nobody replaces this body")


def request(method: str, *values: str) -> Request:
    fields = Fields([(b"Max-Forwards", value.encode("latin-1")) for value in values])
    return Request(method, "/", "/", "", "a", "http", "1.1.1.1", "1.1.1.1", fields, NoBody())


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
@pytest.mark.parametrize(("value", "left"), [("1", "0"), ("10", "9"), ("007", "6"), ("999999999", "999999998")])
def test_each_hop_counts_down(method: str, value: str, left: str) -> None:
    made = request(method, value)
    assert answer_as_last_hop(made) is None
    assert made.fields.get_all("max-forwards") == [left]


def test_options_ends_here_at_zero() -> None:
    answer = answer_as_last_hop(request("OPTIONS", "0"))
    assert answer is not None
    assert (answer.status, answer.body, answer.length) == (200, b"", 0)
    assert "OPTIONS" in answer.fields["allow"]


def test_trace_that_ends_here_is_refused_and_echoes_nothing() -> None:
    with pytest.raises(GatewayError) as raised:
        answer_as_last_hop(request("TRACE", "0"))
    assert raised.value.kind.name == "method_not_allowed"
    assert raised.value.fields == ((b"Allow", b"OPTIONS"),)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "options"])
def test_other_methods_are_left_alone(method: str) -> None:
    made = request(method, "0")
    assert answer_as_last_hop(made) is None
    assert made.fields.get_all("max-forwards") == ["0"]


@pytest.mark.parametrize("values", [(), ("",), ("-1",), ("1.0",), ("x",), ("\u00b2",), ("1" * 10,), ("0", "0")])
def test_what_is_no_number_is_passed_on_as_it_came(values: tuple[str, ...]) -> None:
    made = request("OPTIONS", *values)
    assert answer_as_last_hop(made) is None
    assert made.fields.get_all("max-forwards") == list(values)
