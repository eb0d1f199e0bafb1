"""RFC 9111 sentence by sentence: a first request fills the cache, a second shows what it does with that.

Each case names the sentence it stands on. `then` is what the second request meets: "hit" (not forwarded), "forwarded",
or the status of an answer given without asking the origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ....virtual_clock import run
from .stand import Ask, Lines, Origin, Seen, Stand, http_date

FRESH = ("Cache-Control", "max-age=60")


@dataclass(frozen=True)
class Case:
    """First `ask` and `origin`, then a wait, then `again`."""

    name: str
    source: str
    then: str
    origin: Origin = Origin()
    ask: Ask = Ask()
    again: Ask = Ask()
    wait_s: float = 1.0
    config: Mapping[str, Any] = field(default_factory=dict)
    shows: Lines = ()
    between: tuple[Ask, Origin] | None = None


def cc(*values: str, status: int = 200, more: Lines = ()) -> Origin:
    """An answer with these Cache-Control lines."""
    return Origin((*(("Cache-Control", value) for value in values), *more), status)


def asks(*values: str) -> Ask:
    """A request with these Cache-Control lines."""
    return Ask(tuple(("Cache-Control", value) for value in values))


def with_fields(*lines: tuple[str, str], **more: Any) -> Ask:
    return Ask(lines, **more)


GZIP, BR = ("Accept-Encoding", "gzip"), ("Accept-Encoding", "br")
AUTH = ("Authorization", "Basic eDp5")
VARY = ("Vary", "Accept-Encoding")
ETAG = ("ETag", '"v1"')
PUT = Ask(method="PUT", body=b"new")
DONE = Origin((), 204, ())

STORING = [
    Case("explicit-freshness", "§3: contains a max-age response directive", "hit"),
    Case("nothing-said", "§3: none of public, Expires, max-age, s-maxage", "forwarded", Origin(())),
    Case("no-store", "§5.2.2.5: MUST NOT store any part of the response", "forwarded", cc("max-age=60, no-store")),
    Case("no-store-upper-case", "§5.2: directives are case-insensitive", "forwarded", cc("max-age=60, NO-STORE")),
    Case("no-store-own-line", "RFC 9110 §5.3: lines of one field are one list", "forwarded", cc("max-age=60", "no-store")),
    Case("no-store-with-argument", "§5.2: an argument that is not defined is ignored", "forwarded",
         cc("max-age=60, no-store=1")),
    Case("no-store-after-quoted-comma", "RFC 9110 §5.6.4: a comma in a quoted string is no separator", "forwarded",
         cc('max-age=60, ext="a,b", no-store')),
    Case("no-store-inside-quotes", "RFC 9110 §5.6.4: a quoted string is one value", "hit",
         cc('max-age=60, ext="a, no-store"')),
    Case("quote-without-end", "unreadable: the cautious reading", "forwarded", cc('max-age=60, ext="a, public')),
    Case("private", "§5.2.2.7: a shared cache MUST NOT store the response", "forwarded", cc("private, max-age=60")),
    Case("private-with-names", "§5.2.2.7: may be taken for the unqualified form", "forwarded",
         cc('private="X-User", max-age=60')),
    Case("private-and-public", "§4.2.1: the most restrictive of conflicting directives", "forwarded",
         cc("public, private, max-age=60")),
    Case("no-cache", "§5.2.2.4: MUST NOT be used without successful validation", "forwarded", cc("no-cache, max-age=60")),
    Case("no-cache-with-names", "§5.2.2.4: may be taken for the unqualified form", "forwarded",
         cc('no-cache="Set-Cookie", max-age=60')),
    Case("must-revalidate-while-fresh", "§5.2.2.2: only once stale", "hit", cc("must-revalidate, max-age=60")),
    Case("proxy-revalidate-while-fresh", "§5.2.2.8: only once stale", "hit", cc("proxy-revalidate, max-age=60")),
    Case("must-understand-with-no-store", "§5.2.2.3: a cache MAY ignore it, and then no-store holds", "forwarded",
         cc("must-understand, no-store, max-age=60")),
    Case("unknown-directive", "§5.2.3: a cache MUST ignore unrecognised directives", "hit", cc("max-age=60, brand-new=7")),
    Case("request-no-store", "§5.2.1.5: MUST NOT store the response to it", "forwarded", ask=asks("no-store")),
    Case("set-cookie", "§7.3: an origin that wants it stored must say so; never here", "forwarded",
         cc("public, max-age=60", more=(("Set-Cookie", "id=1"),))),
    Case("post", "§2: most caches store only GET", "forwarded", ask=Ask(method="POST", body=b"x")),
    Case("post-is-not-answered-from-a-get", "§4: the request method allows the stored response to be used", "forwarded",
         again=Ask(method="POST", body=b"x")),
    Case("get-with-content", "RFC 9110 §9.3.1: content of a GET has no meaning, but may reach the origin", "forwarded",
         again=Ask(body=b"x")),
    Case("other-target", "§2: the cache key is at least method and URI", "forwarded", again=Ask(target="/b")),
    Case("other-query", "§2: the URI with its query", "forwarded", again=Ask(target="/a?x=1")),
    Case("empty-query-is-another-uri", "RFC 3986 §6.2.3: /a? is not /a", "forwarded", again=Ask(target="/a?")),
    Case("escaped-is-another-uri", "raw target: no normalisation that the origin may not share", "forwarded",
         Origin(), Ask(target="/%61"), Ask(target="/a")),
    Case("other-host", "§2: the URI has an authority", "forwarded", again=Ask(host="other.test")),
    Case("host-in-other-case", "RFC 9110 §4.2.3: the host is case-insensitive", "hit", again=Ask(host="ORIGIN.Test")),
    Case("default-port", "RFC 9110 §4.2.3: the default port may be left out", "hit", again=Ask(host="origin.test:443")),
    Case("other-port", "RFC 9110 §4.3.1: another port is another origin", "forwarded", again=Ask(host="origin.test:8443")),
    Case("other-scheme", "RFC 9110 §4.3.1: http and https are two origins", "forwarded", again=Ask(scheme="http")),
    Case("absolute-form", "RFC 9112 §3.2.2: the same URI in another form", "hit",
         again=Ask(target="https://origin.test/a")),
    Case("proxy-authenticate-is-dropped", "§3.1: fields specific to the proxy MUST NOT be stored", "hit",
         cc("max-age=60", more=(("Proxy-Authentication-Info", "x"),)), shows=(("proxy-authentication-info", ""),)),
    Case("cut", "§3.3: a cache MUST NOT use an incomplete response as complete", "forwarded", Origin(end="cut")),
    Case("given-by-a-fallback", "another target's answer is not this one's", "forwarded", Origin(end="fallback")),
    Case("partial", "§3.3: a cache that does not support Range MUST NOT store 206", "forwarded",
         Origin((FRESH, ("Content-Range", "bytes 0-4/9")), 206)),
    Case("content-range-on-200", "RFC 9110 §14.4: has no meaning on other statuses; not trusted", "forwarded",
         cc("max-age=60", more=(("Content-Range", "bytes 0-4/9"),))),
    Case("range-request", "§3.3: Range is the origin's business", "forwarded", again=with_fields(("Range", "bytes=0-1"))),
]  # fmt: skip

STATUSES = [
    Case(
        f"status-{status}", "§3: a final status code that the cache understands", then, cc("max-age=60", status=status)
    )
    for status, then in (
        *((status, "hit") for status in (200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414)),
        *(
            (status, "forwarded")
            for status in (201, 202, 304, 400, 401, 403, 408, 413, 421, 429, 451, 500, 501, 502, 503)
        ),
        *((status, "forwarded") for status in (504, 299, 599)),
    )
]

AUTHORIZATION = [
    Case("authorization", "§3.5: MUST NOT use a response to a request with Authorization", "forwarded",
         ask=with_fields(AUTH), again=with_fields(AUTH)),
    Case("authorization-public", "§5.2.2.9: public allows it", "hit", cc("public, max-age=60"), with_fields(AUTH)),
    Case("authorization-s-maxage", "§5.2.2.10: s-maxage allows it", "hit", cc("s-maxage=60"), with_fields(AUTH)),
    Case("authorization-must-revalidate", "§5.2.2.2: must-revalidate allows it", "hit",
         cc("must-revalidate, max-age=60"), with_fields(AUTH)),
    Case("authorization-max-age-alone", "§3.5: no directive that allows", "forwarded", cc("max-age=60"),
         with_fields(AUTH), with_fields(AUTH)),
    Case("key-of-an-ai-service", "§3.5 for what stands in Authorization's place", "forwarded",
         ask=with_fields(("X-Api-Key", "k")), again=with_fields(("X-Api-Key", "k"))),
    Case("stored-without-answers-with", "§3.5 restricts what is stored from an authorised request only", "hit",
         again=with_fields(AUTH)),
    Case("tenant-own-space", "§3.5 is met: nobody else is answered from it", "hit", ask=Ask(tenant="t"),
         again=Ask(tenant="t")),
    Case("other-tenant", "a tenant's entry is never another's", "forwarded", ask=Ask(tenant="t"), again=Ask(tenant="u")),
    Case("nobody-after-a-tenant", "a tenant's entry is nobody's", "forwarded", ask=Ask(tenant="t")),
    Case("tenant-after-nobody", "spaces do not mix", "forwarded", again=Ask(tenant="t")),
    Case("tenant-public-stays-its-own", "share: tenant beats public", "forwarded", cc("public, max-age=60"),
         Ask(tenant="t"), Ask(tenant="u")),
    Case("shared-identity", "§3.5: an identity counts as authorised", "forwarded", cc("max-age=60"), Ask(tenant="t"),
         Ask(tenant="t"), config={"share": "all"}),
    Case("shared-public", "§5.2.2.9", "hit", cc("public, max-age=60"), Ask(tenant="t"), Ask(tenant="u"),
         config={"share": "all"}),
    Case("shared-anonymous", "§3.5 does not apply", "hit", cc("max-age=60"), Ask(), Ask(tenant="u"),
         config={"share": "all"}),
    Case("tenant-with-a-credential-of-its-own", "§3.5: the target saw who asked", "forwarded", cc("max-age=60"),
         with_fields(AUTH, tenant="t"), with_fields(AUTH, tenant="t")),
]  # fmt: skip

FRESHNESS = [
    Case("stale", "§4.2: fresh if the lifetime is greater than the age", "forwarded", cc("max-age=10"), wait_s=11),
    Case("stale-at-the-second", "§4.2: greater, not equal", "forwarded", cc("max-age=10"), wait_s=10),
    Case("fresh-to-the-last", "§4.2", "hit", cc("max-age=10"), wait_s=9.9),
    Case("max-age-0", "§4.2: never fresh", "forwarded", cc("max-age=0"), wait_s=0),
    Case("s-maxage-wins-longer", "§4.2.1: s-maxage first in a shared cache", "hit", cc("max-age=1, s-maxage=60"), wait_s=9),
    Case("s-maxage-wins-shorter", "§4.2.1", "forwarded", cc("max-age=60, s-maxage=1"), wait_s=9),
    Case("s-maxage-0", "§4.2.1", "forwarded", cc("s-maxage=0, max-age=60")),
    Case("max-age-beats-expires", "§5.3: Expires MUST be ignored beside max-age", "hit",
         cc("max-age=60", more=(("Expires", http_date(-9)),))),
    Case("max-age-0-beats-expires", "§5.3", "forwarded", cc("max-age=0", more=(("Expires", http_date(90)),))),
    Case("expires", "§4.2.1: Expires minus Date", "hit", Origin((("Expires", http_date(60)), ("Date", http_date(0))))),
    Case("expires-in-the-past", "§4.2.1", "forwarded", Origin((("Expires", http_date(-1)), ("Date", http_date(0))))),
    Case("expires-without-date", "RFC 9110 §6.6.1: Date is when it was received", "hit",
         Origin((("Expires", http_date(60)),))),
    Case("expires-run-out", "§4.2.1", "forwarded", Origin((("Expires", http_date(60)),)), wait_s=61),
    Case("expires-0", '§5.3: invalid dates, especially "0", are in the past', "forwarded", Origin((("Expires", "0"),))),
    Case("expires-other-zone", "§4.2: a zone other than GMT is invalid", "forwarded",
         Origin((("Expires", http_date(60).replace("GMT", "PST")),))),
    Case("expires-lower-case", "§4.2: a cache matches dates case-insensitively", "hit",
         Origin((("Expires", http_date(60).lower()),))),
    Case("expires-twice", "§4.2.1: first, or stale", "forwarded",
         Origin((("Expires", http_date(60)), ("Expires", http_date(90))))),
    Case("max-age-twice", "§4.2.1: first, or stale", "forwarded", cc("max-age=60, max-age=90")),
    Case("max-age-twice-the-same", "§4.2.1: nothing to choose", "hit", cc("max-age=60", "max-age=60")),
    Case("max-age-no-number", "§4.2.1: invalid is stale", "forwarded", cc("max-age=soon")),
    Case("max-age-negative", "§1.2.2: delta-seconds is not negative", "forwarded", cc("max-age=-60")),
    Case("max-age-fraction", "§1.2.2: delta-seconds is an integer", "forwarded", cc("max-age=60.5")),
    Case("max-age-empty", "§1.2.2: at least one digit", "forwarded", cc("max-age=")),
    Case("max-age-bare", "§5.2.2.1: needs an argument", "forwarded", cc("max-age")),
    Case("max-age-quoted", "§5.2: both forms are accepted", "hit", cc('max-age="60"')),
    Case("max-age-single-quotes", "§5.2: these are no quotes", "forwarded", cc("max-age='60'")),
    Case("max-age-space-before-equals", "§5.2: no white space here", "forwarded", cc("max-age =60")),
    Case("max-age-space-after-equals", "§5.2: no white space here", "forwarded", cc("max-age= 60")),
    Case("max-age-leading-zeros", "§1.2.2: 1*DIGIT", "hit", cc("max-age=0060")),
    Case("max-age-huge", "§1.2.2: overflow is 2^31", "hit", cc(f"max-age={'9' * 5000}"), wait_s=86400 * 365),
    Case("s-maxage-invalid-beside-max-age", "§4.2.1: invalid is stale", "forwarded", cc("s-maxage=x, max-age=60")),
    Case("max-age-other-case", "§5.2: names are case-insensitive", "hit", cc("MAX-AGE=60")),
    Case("unicode-digits", "§1.2.2: DIGIT is ASCII", "forwarded", cc("max-age=6²")),
    Case("empty-members", "RFC 9110 §5.6.1.2: empty list members are ignored", "hit", cc(", ,max-age=60,,")),
    Case("response-pragma-is-nothing", "§5.4: Pragma in responses is not specified", "hit",
         cc("max-age=60", more=(("Pragma", "no-cache"),))),
    Case("heuristic-is-off", "§4.2.2: MAY", "forwarded", Origin((("Last-Modified", http_date(-86400)),))),
    Case("heuristic", "§4.2.2: a tenth of the interval", "hit", Origin((("Last-Modified", http_date(-1000)),)), wait_s=99,
         config={"heuristic": True}),
    Case("heuristic-run-out", "§4.2.2", "forwarded", Origin((("Last-Modified", http_date(-1000)),)), wait_s=101,
         config={"heuristic": True}),
    Case("heuristic-not-where-explicit", "§4.2.2: MUST NOT with an explicit time", "forwarded",
         cc("max-age=1", more=(("Last-Modified", http_date(-9000)),)), wait_s=2, config={"heuristic": True}),
    Case("heuristic-not-for-302", "§4.2.2: only heuristically cacheable statuses", "forwarded",
         Origin((("Last-Modified", http_date(-9000)),), 302), config={"heuristic": True}),
    Case("heuristic-302-public", "§4.2.2: or marked as explicitly cacheable", "hit",
         cc("public", status=302, more=(("Last-Modified", http_date(-9000)),)), config={"heuristic": True}),
    Case("heuristic-from-the-future", "§4.2.2: nothing to take a tenth of", "forwarded",
         Origin((("Last-Modified", http_date(9000)),)), config={"heuristic": True}),
]  # fmt: skip

AGE = [
    Case("age-on-arrival", "§4.2.3: corrected_age_value", "forwarded", cc("max-age=60", more=(("Age", "55"),)), wait_s=6),
    Case("age-on-arrival-fresh", "§4.2.3", "hit", cc("max-age=60", more=(("Age", "55"),)), wait_s=4,
         shows=(("age", "59"),)),
    Case("age-above-lifetime", "§4.2.3: stale on arrival", "forwarded", cc("max-age=60", more=(("Age", "61"),)), wait_s=0),
    Case("age-huge", "§1.2.2: overflow is 2^31", "forwarded", cc("max-age=60", more=(("Age", "9" * 40),)), wait_s=0),
    Case("age-is-no-number", "§5.1: a cache SHOULD ignore an invalid Age", "hit",
         cc("max-age=60", more=(("Age", "abc"),)), shows=(("age", "1"),)),
    Case("age-negative", "§5.1: a cache SHOULD ignore an invalid Age", "hit", cc("max-age=60", more=(("Age", "-70"),))),
    Case("age-list", "§5.1: the first member", "forwarded", cc("max-age=60", more=(("Age", "90, 1"),))),
    Case("age-two-lines", "§5.1: the first member", "hit", cc("max-age=60", more=(("Age", "1"), ("Age", "90")))),
    Case("age-counts-the-way", "§4.2.3: response_delay", "forwarded",
         Origin((FRESH, ("Age", "50")), delay_s=9), wait_s=2),
    Case("apparent-age", "§4.2.3: response_time minus date_value", "forwarded",
         cc("max-age=60", more=(("Date", http_date(-61)),))),
    Case("apparent-age-fresh", "§4.2.3", "hit", cc("max-age=60", more=(("Date", http_date(-30)),)), wait_s=3,
         shows=(("age", "33"),)),
    Case("date-in-the-future", "§4.2.3: apparent_age is at least 0", "hit",
         cc("max-age=60", more=(("Date", http_date(999)),)), shows=(("age", "1"),)),
    Case("date-invalid", "RFC 9110 §6.6.1: may be replaced by the time of receipt", "hit",
         cc("max-age=60", more=(("Date", "yesterday"),)), shows=(("date", http_date(0)),)),
    Case("date-missing", "RFC 9110 §6.6.1: MUST record the time of receipt and append it", "hit",
         shows=(("date", http_date(0)),)),
    Case("date-is-kept", "§4: the stored fields", "hit", cc("max-age=60", more=(("Date", http_date(-3)),)),
         shows=(("date", http_date(-3)),)),
    Case("age-is-told", "§4: a cache MUST generate an Age field", "hit", wait_s=42, shows=(("age", "42"),)),
    Case("slow-body-ages", "§4.2.3: resident_time begins at the head", "forwarded",
         Origin((("Cache-Control", "max-age=5"),), gap_s=6), wait_s=0),
]  # fmt: skip

REQUEST = [
    Case("no-cache", "§5.2.1.4: not without successful validation", "forwarded", again=asks("no-cache")),
    Case("no-store", "§5.2.1.5: passed by in both directions", "forwarded", again=asks("no-store")),
    Case("max-age-0", "§5.2.1.1: prefers an age not above", "forwarded", again=asks("max-age=0")),
    Case("max-age-too-small", "§5.2.1.1", "forwarded", again=asks("max-age=4"), wait_s=5),
    Case("max-age-large-enough", "§5.2.1.1", "hit", again=asks("max-age=6"), wait_s=5),
    Case("max-age-unreadable", "§5.2.1.1: the cautious reading", "forwarded", again=asks("max-age=x")),
    Case("min-fresh-too-much", "§5.2.1.3: fresh for at least so long", "forwarded", again=asks("min-fresh=56"), wait_s=5),
    Case("min-fresh-enough", "§5.2.1.3", "hit", again=asks("min-fresh=55"), wait_s=5),
    Case("min-fresh-unreadable", "§5.2.1.3: the cautious reading", "forwarded", again=asks("min-fresh=x")),
    Case("max-stale", "§5.2.1.2: MAY; stale answers are not given", "forwarded", again=asks("max-stale=99"), wait_s=61),
    Case("only-if-cached-hit", "§5.2.1.7", "hit", again=asks("only-if-cached")),
    Case("only-if-cached-stale", "§5.2.1.7: or 504", "504", again=asks("only-if-cached"), wait_s=61),
    Case("only-if-cached-miss", "§5.2.1.7: or 504", "504", ask=Ask(target="/b"), again=asks("only-if-cached")),
    Case("only-if-cached-no-cache", "§5.2.1.7: or 504", "504", again=asks("only-if-cached, no-cache")),
    Case("only-if-cached-range", "§5.2.1.7: or 504", "504",
         again=with_fields(("Cache-Control", "only-if-cached"), ("Range", "bytes=0-1"))),
    Case("pragma-no-cache", "§5.4: as no-cache, where there is no Cache-Control", "forwarded",
         again=with_fields(("Pragma", "no-cache"))),
    Case("pragma-beside-cache-control", "§5.4: ignored", "hit",
         again=with_fields(("Pragma", "no-cache"), ("Cache-Control", "max-age=50"))),
    Case("pragma-other", "§5.4: other pragmas are ignored", "hit", again=with_fields(("Pragma", "x"))),
    Case("if-match", "RFC 9110 §13.1.1: for the origin", "forwarded", again=with_fields(("If-Match", '"v1"'))),
    Case("if-unmodified-since", "§4.3.2: not evaluated by a cache", "forwarded",
         again=with_fields(("If-Unmodified-Since", http_date(0)))),
]  # fmt: skip

VARYING = [
    Case("same", "§4.1: the nominated fields match", "hit", cc("max-age=60", more=(VARY,)), with_fields(GZIP),
         with_fields(GZIP)),
    Case("other", "§4.1: MUST NOT use unless all match", "forwarded", cc("max-age=60", more=(VARY,)), with_fields(GZIP),
         with_fields(BR)),
    Case("absent-now", "§4.1: absent only matches absent", "forwarded", cc("max-age=60", more=(VARY,)), with_fields(GZIP)),
    Case("absent-then", "§4.1", "forwarded", cc("max-age=60", more=(VARY,)), Ask(), with_fields(GZIP)),
    Case("absent-both", "§4.1", "hit", cc("max-age=60", more=(VARY,))),
    Case("empty-is-not-absent", "§4.1; RFC 9110 §12.5.3: empty means identity only", "forwarded",
         cc("max-age=60", more=(VARY,)), Ask(), with_fields(("Accept-Encoding", ""))),
    Case("star", "§4.1: always fails to match", "forwarded", cc("max-age=60", more=(("Vary", "*"),))),
    Case("star-in-a-list", "§4.1: containing a member *", "forwarded", cc("max-age=60", more=(("Vary", "Accept, *"),))),
    Case("star-on-a-second-line", "RFC 9110 §5.3", "forwarded",
         cc("max-age=60", more=(VARY, ("Vary", "*"))), with_fields(GZIP), with_fields(GZIP)),
    Case("two-lines", "RFC 9110 §5.3: both nominate", "forwarded",
         cc("max-age=60", more=(VARY, ("Vary", "X-Kind"))), with_fields(GZIP, ("X-Kind", "a")),
         with_fields(GZIP, ("X-Kind", "b"))),
    Case("name-in-other-case", "RFC 9110 §5.1: names are case-insensitive", "forwarded",
         cc("max-age=60", more=(("Vary", "ACCEPT-ENCODING"),)), with_fields(GZIP), with_fields(BR)),
    Case("unnamed-field-differs", "§4.1: only nominated fields count", "hit", cc("max-age=60", more=(VARY,)),
         with_fields(GZIP, ("X-Kind", "a")), with_fields(GZIP, ("X-Kind", "b"))),
    Case("white-space", "§4.1: adding or removing white space", "hit", cc("max-age=60", more=(VARY,)),
         with_fields(("Accept-Encoding", "gzip , br")), with_fields(("Accept-Encoding", "gzip,br"))),
    Case("spread-over-lines", "§4.1: combining lines", "hit", cc("max-age=60", more=(VARY,)),
         with_fields(GZIP, BR), with_fields(("Accept-Encoding", "gzip, br"))),
    Case("other-field-over-lines", "§4.1: combining lines", "hit", cc("max-age=60", more=(("Vary", "X-Kind"),)),
         with_fields(("X-Kind", "a"), ("X-Kind", "b")), with_fields(("X-Kind", "a, b"))),
    Case("order-of-encodings", "§4.1: semantics of Accept-Encoding", "hit", cc("max-age=60", more=(VARY,)),
         with_fields(("Accept-Encoding", "BR;q=1.0, x-gzip")), with_fields(("Accept-Encoding", "gzip, br"))),
    Case("weights-count", "RFC 9110 §12.5.3: q=0 forbids", "forwarded", cc("max-age=60", more=(VARY,)),
         with_fields(("Accept-Encoding", "gzip, br;q=0")), with_fields(("Accept-Encoding", "gzip, br"))),
    Case("spelling-where-not-normalised", "§4.1: normalising is optional", "forwarded", cc("max-age=60", more=(VARY,)),
         with_fields(("Accept-Encoding", "gzip , br")), with_fields(("Accept-Encoding", "gzip,br")),
         config={"normalise": ()}),
    Case("languages", "§4.1: case of language tags", "hit", cc("max-age=60", more=(("Vary", "Accept-Language"),)),
         with_fields(("Accept-Language", "de-CH, en;q=0.5")), with_fields(("Accept-Language", "de-ch,en; q=0.5"))),
    Case("order-of-languages", "RFC 9110 §12.5.4: order may be a preference", "forwarded",
         cc("max-age=60", more=(("Vary", "Accept-Language"),)),
         with_fields(("Accept-Language", "de, en")), with_fields(("Accept-Language", "en, de"))),
    Case("what-the-gateway-writes", "the target saw another value than the client sent", "forwarded",
         cc("max-age=60", more=(("Vary", "X-Forwarded-For"),))),
    Case("what-the-key-holds", "the URI has scheme and host", "hit",
         cc("max-age=60", more=(("Vary", "Host, X-Forwarded-Proto"),))),
    Case("too-many-names", "a bound", "forwarded",
         cc("max-age=60", more=(("Vary", ", ".join(f"X-{n}" for n in range(17))),))),
]  # fmt: skip

CONDITIONS = [
    Case("if-none-match", "§4.3.2: 304 where it matches", "304", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v1"')), shows=(("etag", '"v1"'), ("age", "1"))),
    Case("if-none-match-other", "§4.3.2: the stored response otherwise", "hit", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v2"'))),
    Case("if-none-match-list", "RFC 9110 §13.1.2", "304", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v0", "v1"'))),
    Case("if-none-match-lines", "RFC 9110 §5.3", "304", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v0"'), ("If-None-Match", '"v1"'))),
    Case("if-none-match-weak", "RFC 9110 §13.1.2: weak comparison", "304", cc("max-age=60", more=(("ETag", 'W/"v1"'),)),
         again=with_fields(("If-None-Match", '"v1"'))),
    Case("if-none-match-star", "RFC 9110 §13.1.2: any current representation", "304",
         again=with_fields(("If-None-Match", "*"))),
    Case("if-none-match-comma-inside", "RFC 9110 §8.8.3: an entity tag may hold a comma", "304",
         cc("max-age=60", more=(("ETag", '"a,b"'),)), again=with_fields(("If-None-Match", '"x", "a,b"'))),
    Case("if-none-match-unquoted", "RFC 9110 §8.8.3: not an entity tag", "hit", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", "v1"))),
    Case("if-none-match-without-etag", "RFC 9110 §13.1.2", "hit", again=with_fields(("If-None-Match", '"v1"'))),
    Case("if-modified-since", "§4.3.2: Last-Modified not later", "304",
         cc("max-age=60", more=(("Last-Modified", http_date(-90)),)),
         again=with_fields(("If-Modified-Since", http_date(-90)))),
    Case("if-modified-since-older", "§4.3.2", "hit", cc("max-age=60", more=(("Last-Modified", http_date(-90)),)),
         again=with_fields(("If-Modified-Since", http_date(-91)))),
    Case("if-modified-since-invalid", "RFC 9110 §13.1.3: MUST ignore", "hit",
         cc("max-age=60", more=(("Last-Modified", http_date(-90)),)), again=with_fields(("If-Modified-Since", "today"))),
    Case("if-modified-since-without-last-modified", "§4.3.2: Date stands in", "304",
         again=with_fields(("If-Modified-Since", http_date(0)))),
    Case("if-modified-since-beside-if-none-match", "RFC 9110 §13.1.3: MUST be ignored", "hit",
         cc("max-age=60", more=(ETAG, ("Last-Modified", http_date(-90)))),
         again=with_fields(("If-None-Match", '"v2"'), ("If-Modified-Since", http_date(0)))),
    Case("condition-on-404", "RFC 9110 §13.2.1: only where it would be 2xx", "hit",
         cc("max-age=60", status=404, more=(ETAG,)), again=with_fields(("If-None-Match", '"v1"'))),
    Case("condition-on-head", "RFC 9110 §13.1.2: GET and HEAD", "304", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v1"'), method="HEAD")),
    Case("no-content-fields-in-304", "RFC 9110 §15.4.5: no other representation metadata", "304",
         cc("max-age=60", more=(ETAG, ("Content-Type", "text/plain"), ("Content-Location", "/a.txt"))),
         again=with_fields(("If-None-Match", '"v1"')), shows=(("content-type", ""), ("content-location", "/a.txt"))),
    Case("condition-on-a-stale-entry", "§4.3.2 needs a fresh one", "forwarded", cc("max-age=60", more=(ETAG,)),
         again=with_fields(("If-None-Match", '"v1"')), wait_s=61),
]  # fmt: skip

HEADS = [
    Case("head-from-get", "RFC 9110 §9.3.2: a GET's answer may satisfy a HEAD", "hit", again=Ask(method="HEAD")),
    Case("get-from-head", "§2: the answer to HEAD has no body to store", "forwarded", ask=Ask(method="HEAD")),
    Case("head-shows-another-etag", "§4.3.5: SHOULD update or invalidate", "forwarded", cc("max-age=60", more=(ETAG,)),
         between=(with_fields(("Cache-Control", "no-cache"), method="HEAD"), cc("max-age=60", more=(("ETag", '"v2"'),)))),
    Case("head-shows-another-length", "§4.3.5: Content-Length", "forwarded",
         between=(with_fields(("Cache-Control", "no-cache"), method="HEAD"), Origin(pieces=(b"longer", b"!")))),
    Case("head-shows-the-same", "§4.3.5", "hit", cc("max-age=60", more=(ETAG,)),
         between=(with_fields(("Cache-Control", "no-cache"), method="HEAD"), cc("max-age=60", more=(ETAG,)))),
    Case("head-fails", "§4.3.5: only 200", "hit", cc("max-age=60", more=(ETAG,)),
         between=(with_fields(("Cache-Control", "no-cache"), method="HEAD"), Origin((("ETag", '"v2"'),), 503))),
]  # fmt: skip

INVALIDATION = [
    *(
        Case(f"{method.lower()}-{status}", "§4.4: a non-error answer to an unsafe request invalidates", then,
             between=(Ask(method=method, body=b"x"), Origin((), status, ())))
        for method, status, then in (
            ("POST", 200, "forwarded"), ("PUT", 204, "forwarded"), ("DELETE", 200, "forwarded"),
            ("PATCH", 200, "forwarded"), ("POST", 303, "forwarded"), ("M-SEARCH", 200, "forwarded"),
            ("POST", 400, "hit"), ("PUT", 500, "hit"), ("OPTIONS", 200, "hit"), ("TRACE", 200, "hit"),
        )
    ),
    Case("other-uri", "§4.4: the target URI", "hit", between=(Ask(method="POST", target="/b", body=b"x"), DONE)),
    Case("query-of-it", "§4.4: the target URI", "hit", between=(Ask(method="POST", target="/a?x", body=b"x"), DONE)),
    Case("location", "§4.4: MAY invalidate the URI in Location", "forwarded",
         between=(Ask(method="POST", target="/b", body=b"x"), Origin((("Location", "/a"),), 201))),
    Case("location-absolute", "§4.4", "forwarded",
         between=(Ask(method="POST", target="/b", body=b"x"), Origin((("Location", "https://ORIGIN.test:443/a#x"),), 201))),
    Case("location-relative", "§4.4; RFC 3986 §5.2", "forwarded",
         between=(Ask(method="POST", target="/b/c", body=b"x"), Origin((("Location", "../a"),), 201))),
    Case("content-location", "§4.4", "forwarded",
         between=(Ask(method="POST", target="/b", body=b"x"), Origin((("Content-Location", "/a"),)))),
    Case("location-of-another-origin", "§4.4: MUST NOT if the origins differ", "hit",
         between=(Ask(method="POST", target="/b", body=b"x", host="evil.test"),
                  Origin((("Location", "https://origin.test/a"),), 201))),
    Case("location-malformed", "§4.4: nothing to invalidate", "hit",
         between=(Ask(method="POST", target="/b", body=b"x"), Origin((("Location", "https://[origin/a"),), 201))),
    Case("location-of-a-failure", "§4.4: only non-error answers", "hit",
         between=(Ask(method="POST", target="/b", body=b"x"), Origin((("Location", "/a"),), 409))),
    Case("by-another-tenant", "§4.4: the URI is invalid, whoever changed it", "forwarded", ask=Ask(tenant="t"),
         again=Ask(tenant="t"), between=(Ask(method="PUT", tenant="u", body=b"x"), DONE)),
    Case("on-another-route", "§4.4: the URI is invalid, whichever way it was changed", "forwarded",
         between=(Ask(method="PUT", route="writes", body=b"x"), DONE)),
]  # fmt: skip

TABLE = {
    f"{group}/{case.name}": case
    for group, cases in (
        ("storing", STORING),
        ("status", STATUSES),
        ("authorization", AUTHORIZATION),
        ("freshness", FRESHNESS),
        ("age", AGE),
        ("request", REQUEST),
        ("vary", VARYING),
        ("condition", CONDITIONS),
        ("head", HEADS),
        ("invalidation", INVALIDATION),
    )
    for case in cases
}


async def play(case: Case) -> Seen:
    stand = Stand(**case.config)
    await stand.ask(case.ask, case.origin)
    if case.between is not None:
        await stand.ask(*case.between)
    await asyncio.sleep(case.wait_s)
    return await stand.ask(case.again, Origin((), 299, (b"anew",)))


@pytest.mark.parametrize("name", TABLE)
def test_cache_follows_the_rfc(name: str) -> None:
    case = TABLE[name]
    seen = run(play(case))
    then = (
        "forwarded"
        if seen.is_forwarded
        else "hit"
        if seen.verdict == "hit" and seen.status != 304
        else str(seen.status)
    )
    assert then == case.then, case.source
    assert seen.is_forwarded == (seen.body == b"anew" or case.again.method == "HEAD" and seen.is_forwarded)
    for field_name, value in case.shows:
        assert (seen.fields.get(field_name) or "") == value, case.source
    if then == "hit":
        assert seen.status == case.origin.status
        assert seen.body == (b"" if case.again.method == "HEAD" else b"".join(case.origin.pieces))


def test_table_names_each_case_once_with_its_source() -> None:
    groups = (STORING, STATUSES, AUTHORIZATION, FRESHNESS, AGE, REQUEST, VARYING, CONDITIONS, HEADS, INVALIDATION)
    assert len(TABLE) == sum(map(len, groups)) >= 60
    assert all(case.source for case in TABLE.values())
