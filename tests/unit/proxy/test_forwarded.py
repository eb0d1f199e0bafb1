"""Who the client is behind proxies that are trusted, and what upstreams are told."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.proxy.exchange.fields import Fields
from headgate.proxy.forwarded import Origin, forwarded_fields, origin_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def origin(peer: str, *values: str, trusted: bool = True, **said: str) -> Origin:
    raw = [(b"X-Forwarded-For", value.encode("latin-1")) for value in values]
    raw += [(f"X-Forwarded-{name}".encode(), value.encode("latin-1")) for name, value in said.items()]
    return origin_of(peer, False, "gate.test", Fields(raw), TRUSTED if trusted else ())


@pytest.mark.parametrize(
    ("peer", "values", "client", "chain"),
    [
        ("10.0.0.1", (), "10.0.0.1", ()),
        ("10.0.0.1", ("1.2.3.4",), "1.2.3.4", ("1.2.3.4",)),
        ("10.0.0.1", ("6.6.6.6, 1.2.3.4",), "1.2.3.4", ("1.2.3.4",)),
        ("10.0.0.1", ("6.6.6.6", "1.2.3.4, 10.0.0.2"), "1.2.3.4", ("1.2.3.4", "10.0.0.2")),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3", ("10.0.0.3", "10.0.0.2")),
        ("10.0.0.1", ("1.2.3.4, unknown, 10.0.0.2",), "10.0.0.2", ("10.0.0.2",)),
        ("10.0.0.1", ("1.2.3.4,",), "10.0.0.1", ()),
        ("10.0.0.1", ("1.2.3.4:5678",), "1.2.3.4", ("1.2.3.4",)),
        ("10.0.0.1", ("[2001:db8::1]:99",), "2001:db8::1", ("2001:db8::1",)),
        ("10.0.0.1", ('"[2001:db8::1]"',), "2001:db8::1", ("2001:db8::1",)),
        ("10.0.0.1", ("2001:DB8::0:1",), "2001:db8::1", ("2001:db8::1",)),
        ("10.0.0.1", ("::ffff:1.2.3.4",), "1.2.3.4", ("1.2.3.4",)),
        ("10.0.0.1", ("1.2.3.4, ::ffff:10.0.0.2",), "1.2.3.4", ("1.2.3.4", "10.0.0.2")),
        ("10.0.0.1", ('fe80::1%";proto=https',), "fe80::1", ("fe80::1",)),
        ("10.0.0.1", ("010.0.0.2",), "10.0.0.1", ()),
        ("fd00::1", ("1.2.3.4",), "1.2.3.4", ("1.2.3.4",)),
        ("::ffff:10.0.0.1", ("1.2.3.4",), "1.2.3.4", ("1.2.3.4",)),
        ("1.1.1.1", ("1.2.3.4",), "1.1.1.1", ()),
        ("", ("1.2.3.4",), "", ()),
    ],
)
def test_the_client_is_the_first_that_is_not_trusted_from_the_right(
    peer: str, values: tuple[str, ...], client: str, chain: tuple[str, ...]
) -> None:
    found = origin(peer, *values)
    assert (found.peer, found.client, found.chain) == (peer, client, chain)


def test_without_trusted_proxies_nothing_that_is_said_counts() -> None:
    found = origin("10.0.0.1", "1.2.3.4", trusted=False, Proto="https", Host="evil.test")
    assert found == Origin("10.0.0.1", "10.0.0.1", "http", "gate.test")


def test_a_trusted_peer_tells_scheme_and_host() -> None:
    found = origin("10.0.0.1", Proto="http, HTTPS", Host="first.test, shop.test")
    assert (found.scheme, found.host) == ("https", "shop.test")
    assert origin("10.0.0.1", Proto="gopher").scheme == "http"
    assert origin("1.1.1.1", Proto="https", Host="evil.test") == Origin("1.1.1.1", "1.1.1.1", "http", "gate.test")


def test_a_chain_is_read_for_so_many_hops_only() -> None:
    found = origin("10.0.0.1", ", ".join(["10.0.0.2"] * 1_000))
    assert len(found.chain) <= 32


hops = st.sampled_from(("1.2.3.4", "10.0.0.2", "fd00::2", "2001:db8::1", "unknown", "_hidden", "", "1.2.3.4:80", "x,y"))


@given(st.lists(hops, max_size=6), st.sampled_from(("10.0.0.1", "1.1.1.1", "fd00::1")))
def test_nothing_left_of_an_untrusted_hop_is_believed(said: list[str], peer: str) -> None:
    found = origin(peer, ", ".join(said))
    assert found == origin(peer, ", ".join(["6.6.6.6", *said])) or all(_is_trusted(hop) for hop in found.chain)
    for hop in found.chain[1:]:
        assert _is_trusted(hop)


def _is_trusted(address: str) -> bool:
    return address.startswith(("10.", "fd00:"))


def told(found: Origin, style: str) -> dict[str, str]:
    pairs = forwarded_fields(found, style)
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name.decode(): value.decode("latin-1") for name, value in pairs}


def test_x_forwarded_fields() -> None:
    found = Origin("10.0.0.1", "1.2.3.4", "https", "shop.test", ("1.2.3.4", "10.0.0.2"))
    assert told(found, "x-forwarded") == {
        "x-forwarded-for": "1.2.3.4, 10.0.0.2, 10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.test",
    }
    assert told(found, "both").keys() == {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"}


def test_the_forwarded_field_quotes_what_is_no_token() -> None:
    """RFC 7239 §4, §6: an IPv6 address stands in brackets and quotes, a host with a port in quotes."""
    found = Origin("fd00::1", "1.2.3.4", "http", 'a"b\\c:8080', ("1.2.3.4",))
    assert told(found, "forwarded") == {
        "forwarded": r'for=1.2.3.4, for="[fd00::1]";host="a\"b\\c:8080";proto=http',
    }


def test_a_peer_without_an_address_is_unknown() -> None:
    """RFC 7239 §6.2."""
    assert told(Origin("", "", "http", "a"), "forwarded") == {"forwarded": 'for=unknown;host="a";proto=http'}
    assert told(Origin("", "", "http", "a"), "x-forwarded")["x-forwarded-for"] == "unknown"


def test_the_zone_of_an_address_stays_here() -> None:
    found = Origin("fe80::1%eth0", "fe80::1%eth0", "http", "a")
    assert told(found, "forwarded") == {"forwarded": 'for="[fe80::1]";host="a";proto=http'}
    assert told(found, "x-forwarded")["x-forwarded-for"] == "fe80::1"


_ELEMENT = re.compile(r'(?:(?:for|host|proto)=(?:[!#$%&\'*+.^_`|~0-9A-Za-z-]+|"(?:[^"\\]|\\.)*")(?:;|$))+')


@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12),
    st.lists(st.sampled_from(("1.2.3.4", "2001:db8::1")), max_size=3),
)
def test_the_forwarded_field_can_be_read_back_whatever_the_host(host: str, chain: list[str]) -> None:
    value = told(Origin("10.0.0.1", "10.0.0.1", "http", host, tuple(chain)), "forwarded")["forwarded"]
    elements = re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', value)
    assert len(elements) == len(chain) + 1
    assert all(_ELEMENT.fullmatch(element.strip()) for element in elements)
    quoted = re.search(r'host="((?:[^"\\]|\\.)*)"', elements[-1])
    assert quoted is not None
    assert re.sub(r"\\(.)", r"\1", quoted[1]) == host
