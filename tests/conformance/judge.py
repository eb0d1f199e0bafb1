"""The verdict on a case: what was seen against what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from .case import After, Answer, Case, Do, Outcome, Seen, Wanted
from .raw_client import Received
from .raw_origin import Record
from .wire import End, Message

SHOWN_BYTES = 1500


def faults(case: Case, received: Received, record: Record, is_headgate: bool) -> list[str]:
    """Everything wrong in one case; empty where one of its outcomes came about.

    `is_headgate`: hold the proxy also to headgate's own promises (request id, typed errors, forwarded fields).
    """
    found = [*record.faults, *_wire_faults(received, record)]
    if is_headgate:
        found += _promise_faults(received, record)
    misses = [list(_differences(case, outcome, received, record, is_headgate)) for outcome in case.outcomes]
    if all(misses):
        found += [f"outcome {at}: {line}" for at, lines in enumerate(misses) for line in lines]
    return found


def describe(case: Case, received: Received, record: Record, found: list[str]) -> str:
    """The report of a failed case."""
    seen = [f"{one.request.start[:SHOWN_BYTES]!r} {one.request.fields[:30]!r} body={one.request.body[:SHOWN_BYTES]!r} "
            f"whole={one.request.is_whole}" for one in record.attempts]  # fmt: skip
    lines = [
        f"{case.id} ({case.source})",
        *(f"  wrong: {line}" for line in found),
        f"  sent: {bytes(received.sent[:SHOWN_BYTES])!r}",
        *(f"  origin saw: {line}" for line in seen or ["nothing"]),
        f"  client got: {bytes(received.raw[:SHOWN_BYTES])!r}, then {received.end}",
    ]
    return "\n".join(lines)


def _wire_faults(received: Received, record: Record) -> Iterator[str]:
    for message in (*received.answers, *received.interims):
        yield from (f"answer {message.start!r}: {fault}" for fault in message.faults)
    for one in record.attempts:
        yield from (f"request at the origin {one.request.start[:80]!r}: {fault}" for fault in one.request.faults)
        if len(one.request.values(b"host")) != 1:
            yield f"request at the origin {one.request.start[:80]!r}: host {one.request.values(b'host')!r}"
    if received.leftover:
        yield f"bytes after the last answer: {received.leftover[:200]!r}"
    for answer in received.answers:
        if b"close" in (answer.joined(b"connection") or b"").lower() and received.end is End.OPEN:
            yield f"{answer.start!r} says close, but the connection stays open"


def _promise_faults(received: Received, record: Record) -> Iterator[str]:
    for answer in received.answers:
        if answer.status != 101 and len(answer.values(b"x-request-id")) != 1:
            yield f"{answer.start!r}: x-request-id {answer.values(b'x-request-id')!r}"
    for request in (*(one.request for one in record.attempts), *record.probes):
        for name, wanted in ((b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-proto", b"http")):
            if request.joined(name) != wanted:
                yield f"request at the origin {request.start[:80]!r}: {name!r} is {request.joined(name)!r}"
        if len(request.values(b"x-forwarded-host")) > 1:
            yield f"request at the origin {request.start[:80]!r}: x-forwarded-host twice"


def _differences(case: Case, outcome: Outcome, received: Received, record: Record, is_headgate: bool) -> Iterator[str]:
    if len(received.answers) != len(outcome.answers):
        statuses = [answer.status for answer in received.answers]
        yield f"expected {len(outcome.answers)} answers, got {statuses}"
    for at, (wanted, answer) in enumerate(zip(outcome.answers, received.answers, strict=False)):
        yield from _answer_differences(wanted, answer)
        if wanted.is_own and is_headgate:
            yield from _error_differences(answer, is_head=at in case.heads)
    if outcome.interims is not None and tuple(one.status for one in received.interims) != outcome.interims:
        yield f"expected interim answers {outcome.interims}, got {[one.start for one in received.interims]}"
    if outcome.seen is not None:
        yield from _seen_differences(outcome, record)
    yield from _end_differences(outcome, received, Do.HALF_CLOSE in case.sent)


def _answer_differences(wanted: Answer, answer: Message) -> Iterator[str]:
    if answer.status not in wanted.statuses:
        yield f"expected status {wanted.statuses}, got {answer.start!r}"
    if wanted.is_whole != answer.is_whole:
        yield f"expected {'a whole' if wanted.is_whole else 'a visibly cut'} answer, got {answer.body[:200]!r}"
    if wanted.body is not None:
        is_right = wanted.body == answer.body if wanted.is_whole else wanted.body.startswith(answer.body)
        if not is_right:
            yield f"expected content {wanted.body[:200]!r}, got {answer.body[:200]!r}"
    yield from _field_differences(wanted.fields, answer, "answer")


def _error_differences(answer: Message, is_head: bool) -> Iterator[str]:
    if answer.joined(b"content-type") != b"application/problem+json":
        yield f"expected a problem document, got content-type {answer.joined(b'content-type')!r}"
        return
    if is_head:
        return
    try:
        problem = json.loads(answer.body)
    except ValueError:
        yield f"expected a problem document, got {answer.body[:200]!r}"
        return
    request_id = (answer.joined(b"x-request-id") or b"").decode()
    if problem.get("status") != answer.status or not request_id or request_id not in problem.values():
        yield f"expected a problem document with the status and the request id, got {problem}"


def _seen_differences(outcome: Outcome, record: Record) -> Iterator[str]:
    requests = [one.request for one in record.attempts if one.request.is_whole or not outcome.may_begin]
    wanted = outcome.seen or ()
    if len(requests) != len(wanted):
        yield f"expected {len(wanted)} requests at the origin, got {[one.start[:80] for one in requests]}"
    for one, request in zip(wanted, requests, strict=False):
        yield from _request_differences(one, request)


def _request_differences(wanted: Seen, request: Message) -> Iterator[str]:
    line = b" ".join((wanted.method, wanted.target, b"HTTP/1.1"))
    if request.start != line:
        yield f"expected {line[:200]!r} at the origin, got {request.start[:200]!r}"
    if not request.is_whole or wanted.body != request.body:
        yield f"expected content {wanted.body[:200]!r} at the origin, got {request.body[:200]!r}"
    yield from _field_differences(wanted.fields, request, "request at the origin")


def _field_differences(wanted: Mapping[bytes, Wanted], message: Message, where: str) -> Iterator[str]:
    for name, value in wanted.items():
        found = message.joined(name)
        is_right = bool(value.fullmatch(found or b"")) if isinstance(value, re.Pattern) else found == value
        if not is_right:
            yield f"{where}: expected {name!r} {value!r}, got {found!r}"


def _end_differences(outcome: Outcome, received: Received, is_half_closed: bool) -> Iterator[str]:
    if outcome.after is After.OPEN and not received.is_probe_answered:
        yield f"expected one more request on the connection to be answered; the connection is {received.end}"
    elif outcome.after is After.CLOSED:
        if received.end is End.OPEN or received.is_probe_answered:
            yield "expected the connection to be closed"
        last = received.answers[-1] if received.answers else None
        if last is not None and last.is_whole and last.status != 101 and not is_half_closed:
            yield from _field_differences({b"connection": b"close"}, last, "last answer")
    elif received.is_probe_answered is False and received.end is End.OPEN:
        yield "expected one more request on the connection to be answered, or its end"
