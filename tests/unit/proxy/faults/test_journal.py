"""The requests that were seen."""

from __future__ import annotations

from typing import Any

from headgate.proxy.faults.asked import Asked
from headgate.proxy.faults.incoming import Incoming, RequestReader
from headgate.proxy.faults.journal import MAX_PREFILL_CHARACTERS, MAX_REQUESTS, Journal, Peer


def request(fields: bytes = b"", path: bytes = b"/health") -> Incoming:
    made = RequestReader().feed(b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, fields))
    assert made is not None
    return made


def shown(journal: Journal, after: int = 0) -> list[dict[str, Any]]:
    kept: Any = journal.shown(after)["requests"]
    return list(kept)


def test_the_last_requests_are_kept_and_the_others_counted() -> None:
    journal, peer = Journal(), Peer(1, 0.0)
    for number in range(MAX_REQUESTS + 3):
        journal.add(request(), peer, float(number))
    numbers = [each["number"] for each in shown(journal)]
    assert numbers == list(range(4, MAX_REQUESTS + 4))
    assert journal.shown()["forgotten"] == 3
    assert len(shown(journal, MAX_REQUESTS)) == 3


def test_after_clearing_numbers_go_on() -> None:
    journal, peer = Journal(), Peer(1, 0.0)
    journal.add(request(), peer, 0.0)
    journal.clear()
    assert journal.shown() == {"requests": [], "forgotten": 0}
    assert journal.add(request(), peer, 0.0).number == 2


def test_a_request_is_shown_with_what_it_brought() -> None:
    journal = Journal()
    fields = b"X-Request-Id: r1\r\nx-headgate-deadline-ms: 4970\r\nLast-Event-ID: 7\r\n"
    seen = journal.add(request(fields, b"/v1/models?x=y"), Peer(3, 0.0), 1.5)
    seen.asks(Asked(True, "m", True, 1, None, False, "The café", 1))
    found = shown(journal)[0]
    expected: dict[str, Any] = {
        "x-request-id": "r1",
        "x-headgate-deadline-ms": "4970",
        "last-event-id": "7",
        "path": "/v1/models",
    }
    expected |= {"model": "m", "prefill": "The café", "prefill_characters": 8, "stream": True, "connection": 3}
    assert {name: found[name] for name in expected} == expected
    assert (found["at_s"], found["end"], found["done"]) == (1.5, None, None)


def test_what_a_request_brought_is_kept_within_bounds() -> None:
    journal = Journal()
    seen = journal.add(request(b"X-Request-Id: %b\r\n" % (b"r" * 5000), b"/" + b"p" * 5000), Peer(1, 0.0), 0.0)
    seen.asks(Asked(True, "m" * 5000, False, 1, None, True, "x" * 100_000, 1))
    found = shown(journal)[0]
    assert {len(str(found[name])) for name in ("x-request-id", "path", "model")} == {200}
    assert (len(found["prefill"]), found["prefill_characters"]) == (MAX_PREFILL_CHARACTERS, 100_000)


def test_the_first_word_on_an_end_counts() -> None:
    peer = Peer(1, 0.0)
    peer.ended("peer closed", 2.0)
    peer.ended("closed by us", 3.0)
    seen = Journal().add(request(), peer, 1.0)
    seen.ends("answered", 1.5)
    seen.ends("closed", 1.6)
    assert (seen.shown()["end"], seen.shown()["done"]) == ("peer closed after 1.00 s", "answered")
