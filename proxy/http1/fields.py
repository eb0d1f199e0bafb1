"""Field lists: look-up, and what may pass a gateway."""

from __future__ import annotations

from collections.abc import Iterable

from ...ext.http1 import Pair, list_members

# Fields of one connection. Proxy-Authorization and Proxy-Authenticate are between the client and the proxy it
# names, which is us or nobody: they never travel on (RFC 9110 §7.6.1, §11.7). Trailer goes with the trailer fields.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

# A Connection option may name any field for removal. These it may not: without them a message changes its meaning,
# its sender, or who may store it, so naming one is an attack on the hop behind us and not a statement about this one.
CRITICAL = frozenset(
    (
        b"accept",
        b"age",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"date",
        b"etag",
        b"expect",
        b"expires",
        b"forwarded",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-modified",
        b"location",
        b"origin",
        b"pragma",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"traceparent",
        b"tracestate",
        b"vary",
        b"via",
        b"www-authenticate",
        b"x-api-key",
        b"x-real-ip",
        b"x-request-id",
    )
)
_CRITICAL_PREFIXES = (b"x-forwarded-", b"x-headgate-", b"access-control-")


def get(fields: Iterable[Pair], name: bytes) -> bytes | None:
    """Return the first value of `name`, which is given in lower case; None where there is none."""
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def get_all(fields: Iterable[Pair], name: bytes) -> list[bytes]:
    """Return every value of `name`, which is given in lower case, in order."""
    return [value for key, value in fields if key.lower() == name]


def get_members(fields: Iterable[Pair], name: bytes) -> list[bytes]:
    """Return the members of the list field `name`, all in lower case. Source: RFC 9110 §5.6.1."""
    return list_members(get_all(fields, name))


def without(fields: Iterable[Pair], *names: bytes) -> list[Pair]:
    """Return the fields except `names`, which are given in lower case."""
    return [pair for pair in fields if pair[0].lower() not in names]


def replaced(fields: Iterable[Pair], name: bytes, value: bytes) -> list[Pair]:
    """Return the fields with exactly one `name`, at the place of the first one or else at the end."""
    wanted, out, is_set = name.lower(), list[Pair](), False
    for pair in fields:
        if pair[0].lower() != wanted:
            out.append(pair)
        elif not is_set:
            out.append((name, value))
            is_set = True
    if not is_set:
        out.append((name, value))
    return out


def end_to_end(fields: Iterable[Pair]) -> list[Pair]:
    """Return the fields that may travel on: no hop-by-hop ones, and none that Connection names.

    Content-Length stays: whoever frames the message anew replaces it. Source: RFC 9110 §7.6.1.
    """
    pairs = list(fields)
    dropped = HOP_BY_HOP | {option for option in get_members(pairs, b"connection") if not is_critical(option)}
    return [pair for pair in pairs if pair[0].lower() not in dropped]


def is_critical(name: bytes) -> bool:
    """Whether a Connection option has no say over the field `name`, which is given in lower case."""
    return name in CRITICAL or name.startswith(_CRITICAL_PREFIXES)
