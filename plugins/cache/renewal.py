"""Asking for a stored answer again on a condition, and what its confirmation changes (RFC 9111 §4.3)."""

from __future__ import annotations

from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from . import rules
from .entry import Entry, Pair

_CONDITIONS = ("if-none-match", "if-modified-since")
# RFC 9111 §3.2: what belongs to the stored content, or to the message alone. Age and Date are of the newer message.
_KEPT = frozenset((b"content-encoding", b"content-range", b"content-type", b"content-length"))
_OF_MESSAGE = frozenset((b"age", b"date"))


def set_condition(fields: Fields, entry: Entry) -> bool:
    """Ask for anything newer than `entry`, in place of the client's own condition; False where nothing tells it apart.

    Source: RFC 9111 §4.3.1.
    """
    etag, modified = entry.value(b"etag"), entry.value(b"last-modified")
    is_tagged = rules.is_entity_tag(etag)
    if not is_tagged and modified is None:
        return False
    unset_condition(fields)
    if is_tagged and etag is not None:
        fields.raw.append((b"If-None-Match", etag.encode("latin-1")))
    if modified is not None:
        fields.raw.append((b"If-Modified-Since", modified.encode("latin-1")))
    return True


def unset_condition(fields: Fields) -> None:
    """Ask for the answer, whatever the client has."""
    for name in _CONDITIONS:
        fields.remove(name)


def is_about(entry: Entry, fields: Fields) -> bool:
    """Whether these fields are about the representation that `entry` holds, as far as they tell.

    Source: RFC 9111 §4.3.4.
    """
    etag, own = fields.get("etag"), entry.value(b"etag")
    if etag is not None and own is not None:
        return etag == own if not etag.startswith("W/") else etag.removeprefix("W/") == own.removeprefix("W/")
    if etag is not None:
        return False
    modified = fields.get("last-modified")
    return modified is None or modified == entry.value(b"last-modified")


def is_shown_whole(entry: Entry, response: Response) -> bool:
    """Whether the answer to a HEAD shows by a validator that it is about what `entry` holds.

    Source: RFC 9111 §4.3.5.
    """
    shown = ((name, response.fields.get(name)) for name in ("etag", "last-modified"))
    told = [value == entry.value(name.encode()) for name, value in shown if value is not None]
    return bool(told) and all(told) and not is_of_other_length(entry, response)


def is_of_other_length(entry: Entry, response: Response) -> bool:
    """Whether a HEAD's answer declares another length than the stored body has."""
    return response.length is not None and response.length != len(entry.body)


def renewed(entry: Entry, fields: Fields) -> Response:
    """Return the stored answer with the fields of its confirmation. Source: RFC 9111 §3.2."""
    shown = {name.lower() for name, _ in fields.raw} - _KEPT
    kept: list[Pair] = [
        pair for pair in entry.fields if (name := pair[0].lower()) not in shown and name not in _OF_MESSAGE
    ]
    new = [pair for pair in fields.raw if pair[0].lower() in shown]
    return Response(entry.status, Fields([*kept, *new]), entry.body, len(entry.body))
