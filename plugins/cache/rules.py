"""What RFC 9111 allows: storing, freshness, age. Pure: instants are passed in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...proxy.exchange.fields import Fields
from .directives import INVALID, MAX_SECONDS, NONE, Directives, delta_seconds, parse_directives
from .entry import GONE_WHEN_STALE, Staleness
from .http_date import parse_http_date
from .structured import parse_targeted

# Final statuses whose meaning holds for the next request too. 206 and 304 need more than storing; a failure of the
# server is never kept, whatever it says of itself.
STORED_STATUSES = frozenset((200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414))
# RFC 9110 §15.1, of these.
_HEURISTIC_STATUSES = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414))
_DEFAULT_TTL_STATUSES = frozenset((200, 203, 204, 300, 301, 308))
_HEURISTIC_FRACTION = 0.1
_MAX_HEURISTIC_S = 86400.0
_NEVER_STALE = ("no-cache", "must-revalidate", "proxy-revalidate", "s-maxage")
_ALLOWING_STALE = ("stale-while-revalidate", "stale-if-error")
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')
_READ = frozenset(
    (
        b"cache-control",
        b"expires",
        b"date",
        b"age",
        b"pragma",
        b"vary",
        b"set-cookie",
        b"content-range",
        b"etag",
        b"last-modified",
    )
)


class Answer:
    """The part of a response's head that concerns a cache.

    `is_targeted`: its directives are those of a field in `targeted`, and count in place of Cache-Control and Expires.
    """

    __slots__ = ("_found", "directives", "is_targeted", "status")

    def __init__(self, status: int, fields: Fields, targeted: Sequence[bytes] = ()) -> None:
        found: dict[bytes, list[str]] = {}
        for name, value in fields.raw:
            lower = name.lower()
            if lower in _READ or lower in targeted:
                found.setdefault(lower, []).append(value.decode("latin-1"))
        self.status = status
        self._found = found
        chosen = None if found.keys().isdisjoint(targeted) else _chosen(found, targeted)
        self.is_targeted = chosen is not None
        ordinary = found.get(b"cache-control", ())
        self.directives: Directives = parse_directives(ordinary) if chosen is None else chosen

    @property
    def has_validator(self) -> bool:
        """Whether it can be asked for again on a condition. Source: RFC 9110 §8.8."""
        if is_entity_tag(self.only(b"etag")):
            return True
        modified = self.only(b"last-modified")
        return modified is not None and parse_http_date(modified, 0.0) is not None

    def values(self, name: bytes) -> list[str]:
        """Every line of field `name`."""
        return self._found.get(name, [])

    def only(self, name: bytes) -> str | None:
        """The value of `name`, if its lines agree."""
        values = self._found.get(name, [])
        return values[0] if len(set(values)) == 1 else None


def _chosen(found: Mapping[bytes, Sequence[str]], targeted: Sequence[bytes]) -> Directives | None:
    """Return the directives of the first field that is meant for this cache. Source: RFC 9213 §2.2."""
    sound = (parsed for name in targeted if name in found and (parsed := parse_targeted(found[name])) is not None)
    return next(sound, None)


def refusal(answer: Answer, *, is_permission_needed: bool) -> str | None:
    """Say why an answer must not be stored; None where it may be.

    `is_permission_needed`: the request was authorised, and others may be answered with what is stored.
    Vary and freshness are judged apart. Source: RFC 9111 §3, §3.5.
    """
    directives = answer.directives
    if answer.status not in STORED_STATUSES:
        return "status"
    if directives.is_malformed:
        return "malformed"
    # RFC 9111 §5.2.2.3: no-store is there for caches that do not know the status.
    if "no-store" in directives and "must-understand" not in directives:
        return "no-store"
    # With names of fields, too: RFC 9111 §5.2.2.4, §5.2.2.7 let a cache take both for the whole answer.
    if "private" in directives:
        return "private"
    if "no-cache" in directives and not answer.has_validator:
        return "no-cache"
    if answer.values(b"set-cookie"):
        return "set-cookie"
    if answer.values(b"content-range"):
        return "partial"
    if is_permission_needed and not any(name in directives for name in ("public", "s-maxage", "must-revalidate")):
        return "authorization"
    return None


def lifetime_s(answer: Answer, wall_s: float, *, default_ttl_s: float | None, is_heuristic: bool) -> float:
    """Return for how long an answer received at `wall_s` is fresh, from its Date on; not above 0 where it is not.

    Source: RFC 9111 §4.2.1, §4.2.2, §5.3.
    """
    if "no-cache" in answer.directives:
        return 0
    for name in ("s-maxage", "max-age"):
        seconds = answer.directives.seconds(name)
        if seconds is not None:
            return seconds
    if answer.values(b"expires") and not answer.is_targeted:
        return _until_expiry(answer, wall_s)
    if not answer.directives and not answer.is_targeted and "no-cache" in parse_directives(answer.values(b"pragma")):
        return 0
    if default_ttl_s is not None:
        return default_ttl_s if answer.status in _DEFAULT_TTL_STATUSES else 0
    return _heuristic_s(answer, wall_s) if is_heuristic else 0


def tells_lifetime(answer: Answer) -> bool:
    """Whether an answer says itself for how long it is fresh, be it not at all."""
    if answer.values(b"expires") and not answer.is_targeted:
        return True
    return any(name in answer.directives for name in ("no-cache", "max-age", "s-maxage"))


def staleness(answer: Answer, lifetime: float, keep_s: float) -> Staleness:
    """Return what an answer may be good for once its `lifetime` is over; it is kept for `keep_s` at most.

    Source: RFC 9111 §4.2.4, §5.2.2.2, §5.2.2.10; RFC 5861.
    """
    directives = answer.directives
    if not (lifetime > 0 or _is_meant_for_caches(answer)):
        return GONE_WHEN_STALE
    is_forbidden = any(name in directives for name in _NEVER_STALE)
    allowed = [0 if is_forbidden else min(max(directives.seconds(n) or 0, 0), keep_s) for n in _ALLOWING_STALE]
    kept_s = keep_s if answer.has_validator else max(allowed)
    return Staleness(kept_s, allowed[0], allowed[1], is_forbidden)


def _is_meant_for_caches(answer: Answer) -> bool:
    """Whether an answer that is not fresh by itself may be stored, and says anything of being stored.

    What says nothing may be stored as well; each request for it would then wait for a confirmation.
    Source: RFC 9111 §3, last item.
    """
    if answer.values(b"expires") and not answer.is_targeted:
        return True
    if "no-cache" in answer.directives and answer.status in _HEURISTIC_STATUSES:
        return True
    return any(name in answer.directives for name in ("public", "max-age", "s-maxage"))


def initial_age_s(answer: Answer, wall_s: float, delay_s: float) -> float:
    """Return the age of an answer when it arrived, `delay_s` after it was asked for. Source: RFC 9111 §4.2.3."""
    apparent_s = max(0, int(wall_s) - date_s(answer, wall_s))
    lines = answer.values(b"age")
    # RFC 9111 §5.1: of a list the first member counts; what is no number is ignored.
    told = delta_seconds(lines[0].split(",")[0].strip(" \t")) if lines else INVALID
    return max(apparent_s, max(told, 0) + max(delay_s, 0.0))


def date_s(answer: Answer, wall_s: float) -> int:
    """Return when the answer was made; where it does not say so readably, when it came. Source: RFC 9110 §6.6.1."""
    text = answer.only(b"date")
    date = parse_http_date(text, wall_s) if text is not None else None
    return int(wall_s) if date is None else date


def is_usable(age_s: float, lifetime: float, asked: Directives, staleness: Staleness) -> bool:
    """Whether a stored answer of this age may be given to a request with these directives.

    Source: RFC 9111 §4, §5.2.1.
    """
    if asked is NONE:
        return lifetime > age_s
    if not _is_wanted(age_s, lifetime, asked):
        return False
    excess_s = age_s - lifetime
    if excess_s < 0:
        return True
    return not staleness.is_forbidden and excess_s < staleness.kept_s and excess_s <= _max_stale_s(asked)


def is_usable_for(age_s: float, lifetime: float, asked: Directives, excess_s: float) -> bool:
    """Whether an answer that has been stale for at most `excess_s` may be given to such a request. Source: RFC 5861."""
    return age_s - lifetime < excess_s and (asked is NONE or _is_wanted(age_s, lifetime, asked))


def _is_wanted(age_s: float, lifetime: float, asked: Directives) -> bool:
    if asked.is_malformed or "no-cache" in asked:
        return False
    max_age, min_fresh = asked.seconds("max-age"), asked.seconds("min-fresh")
    if max_age is not None and age_s > max_age:
        return False
    return min_fresh is None or (min_fresh != INVALID and lifetime - age_s >= min_fresh)


def _max_stale_s(asked: Directives) -> int:
    """Return for how long a stale answer is taken; without an argument for any time (RFC 9111 §5.2.1.2)."""
    return MAX_SECONDS if asked.is_bare("max-stale") else max(asked.seconds("max-stale") or 0, 0)


def is_entity_tag(text: str | None) -> bool:
    """Whether it is one. Source: RFC 9110 §8.8.3."""
    return text is not None and _ENTITY_TAG.fullmatch(text) is not None


def is_fresh(age_s: float, lifetime: float) -> bool:
    """Whether a stored answer is fresh. Source: RFC 9111 §4.2."""
    return lifetime > age_s


def _until_expiry(answer: Answer, wall_s: float) -> float:
    text = answer.only(b"expires")
    expiry = parse_http_date(text, wall_s) if text is not None else None
    # RFC 9111 §5.3: an invalid date, above all "0", is in the past.
    return INVALID if expiry is None else min(expiry - date_s(answer, wall_s), MAX_SECONDS)


def _heuristic_s(answer: Answer, wall_s: float) -> float:
    if answer.status not in _HEURISTIC_STATUSES and "public" not in answer.directives:
        return 0
    text = answer.only(b"last-modified")
    modified = parse_http_date(text, wall_s) if text is not None else None
    if modified is None:
        return 0
    return min((date_s(answer, wall_s) - modified) * _HEURISTIC_FRACTION, _MAX_HEURISTIC_S)
