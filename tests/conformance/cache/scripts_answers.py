"""What answers say and carry: RFC 9111 §3, §5.2.2, RFC 9110 §7.6, RFC 9211."""

from __future__ import annotations

from ...unit.plugins.cache.stand import Ask, http_date
from .script import (
    ETAG,
    NO_ANSWER,
    Script,
    Step,
    asks,
    cc,
    confirms,
    fails,
    fill,
    says,
    script,
    with_fields,
)  # fmt: skip


def kept(
    name: str, *directives: str, then: str = "hit", wait_s: float = 1.0, source: str = "", status: int = 200
) -> Script:
    """An answer with Cache-Control lines and a validator, and what the next request meets."""
    return script(name, source, fill(cc(*directives, status=status)), Step(then, wait_s=wait_s))


DIRECTIVES = [
    kept("must-understand", "must-understand, no-store, max-age=60",
         source="RFC 9111 §5.2.2.3: no-store gives way where the status is understood"),
    kept("must-understand-unknown-status", "must-understand, no-store, max-age=60", status=299, then="forwarded",
         source="RFC 9111 §5.2.2.3: only statuses that are understood"),
    kept("must-understand-alone", "must-understand, max-age=60", source="RFC 9111 §5.2.2.3"),
    kept("must-understand-private", "must-understand, no-store, private, max-age=60", then="forwarded",
         source="RFC 9111 §5.2.2.7: the others hold"),
    kept("no-transform", "no-transform, max-age=60", source="RFC 9111 §5.2.2.6: nothing to do with storing"),
    kept("immutable", "immutable, max-age=60", source="RFC 8246: for reloads by a client"),
    kept("private-quoted-names", 'max-age=60, private="Set-Cookie, X-A"', then="forwarded",
         source="RFC 9111 §5.2.2.7: a list of names in quotes"),
    kept("private-empty-list", 'max-age=60, private=""', then="forwarded", source="RFC 9111 §5.2.2.7"),
    kept("private-token", "max-age=60, private=X-A", then="forwarded",
         source="RFC 9111 §5.2.2.7: a token in place of a string is accepted"),
    kept("private-upper", "max-age=60, PRIVATE", then="forwarded", source="RFC 9111 §5.2: case-insensitive"),
    kept("private-s-maxage", "private, s-maxage=60", then="forwarded", source="RFC 9111 §4.2.1: the stricter"),
    kept("no-store-first-line", "no-store", "max-age=60", then="forwarded", source="RFC 9110 §5.3: one list"),
    kept("no-cache-public", "public, no-cache, max-age=60", then="forwarded", source="RFC 9111 §4.2.1: the stricter"),
    kept("max-age-conflict", "max-age=60", "max-age=1", then="forwarded", source="RFC 9111 §4.2.1: or stale"),
    kept("s-maxage-conflict", "s-maxage=60, s-maxage=70", then="forwarded", source="RFC 9111 §4.2.1: or stale"),
    kept("s-maxage-quoted", 's-maxage="60"', source="RFC 9111 §5.2: both forms are accepted"),
    kept("s-maxage-huge", f"s-maxage={2**64}", wait_s=86400 * 365, source="RFC 9111 §1.2.2: overflow"),
    kept("max-age-2-31", "max-age=2147483648", wait_s=86400 * 365, source="RFC 9111 §1.2.2"),
    kept("max-age-plus", "max-age=+60", then="forwarded", source="RFC 9111 §1.2.2: 1*DIGIT"),
    kept("max-age-hex", "max-age=0x60", then="forwarded", source="RFC 9111 §1.2.2: 1*DIGIT"),
    kept("max-age-semicolon", "max-age=60; public", then="forwarded", source="RFC 9111 §5.2: members end at commas"),
    kept("max-age-in-a-longer-name", "x-max-age=60", then="forwarded", source="RFC 9111 §5.2: another name"),
    kept("no-store-in-a-longer-name", "max-age=60, no-storey", source="RFC 9111 §5.2.3: unknown, ignored"),
    kept("no-store-as-a-value", "max-age=60, ext=no-store", source="RFC 9111 §5.2.3: unknown, ignored"),
    kept("request-directive-in-an-answer", "max-age=60, only-if-cached, min-fresh=900, max-stale=1",
         source="RFC 9111 §5.2.2: of no meaning here"),
    kept("tab-between", "max-age=60,\tpublic", source="RFC 9110 §5.6.3: white space may be a tab"),
    kept("escaped-quote", 'max-age=60, ext="a\\", no-store"', source="RFC 9110 §5.6.4: an escaped quote"),
    kept("302-with-nothing", "public", status=302, then="forwarded", source="RFC 9111 §4.2.2: no lifetime"),
    script("307-with-etag-alone", "RFC 9111 §3: not heuristically cacheable, nothing explicit: MUST NOT store",
           fill(says(ETAG, status=307)), Step("forwarded", sent=(("If-None-Match", ""),))),
    script("302-public-with-etag", "RFC 9111 §3: public allows it", fill(cc("public", status=302, more=(ETAG,))),
           Step("revalidated", (confirms(ETAG),), status=302)),
    script("404-no-cache-with-etag", "RFC 9111 §3: heuristically cacheable",
           fill(cc("no-cache", status=404, more=(ETAG,))), Step("revalidated", (confirms(ETAG),), status=404)),
    script("302-no-cache-with-etag", "RFC 9111 §3: neither explicit nor heuristically cacheable: MUST NOT store",
           fill(cc("no-cache", status=302, more=(ETAG,))), Step("forwarded", sent=(("If-None-Match", ""),))),
    script("expires-alone-302", "RFC 9111 §3: Expires allows it", fill(says(("Expires", http_date(60)), status=302)),
           Step("hit")),
]  # fmt: skip

FIELDS = [
    *(
        script(f"{name.lower()}-is-kept", "RFC 9111 §3.1: end-to-end fields are stored", fill(cc("max-age=60",
               more=((name, value),))), Step("hit", shows=((name, value),)))
        for name, value in (("Content-Type", "a/b"), ("Content-Language", "de"), ("Content-Encoding", "gzip"),
            ("Content-Location", "/x"), ("Link", "</x>"), ("ETag", '"v1"'), ("Last-Modified", http_date(-9)),
            ("Vary", "Accept"), ("Expires", http_date(9)), ("Via", "1.1 x"), ("Warning", '199 - "x"'),
            ("X-Unknown", "a, b"), ("Cache-Control", "max-age=60"))
        if name != "Cache-Control"
    ),
    *(
        script(f"{name.lower()}-is-dropped", "RFC 9111 §3.1: of this message or for this proxy only",
               fill(cc("max-age=60", more=((name, value),))), Step("hit", shows=((name, ""),)))
        for name, value in (("Proxy-Authenticate", "Basic"), ("Proxy-Authentication-Info", "x"),
            ("X-Headgate-Target", "t"))
    ),
    script("lines-stay-lines", "RFC 9110 §5.3: order and lines are kept",
           fill(cc("max-age=60", more=(("Link", "<a>"), ("Link", "<b>")))), Step("hit", shows=(("Link", "<a>, <b>"),))),
    script("latin-1", "RFC 9110 §5.5: obsolete text passes", fill(cc("max-age=60", more=(("X-A", "\xe4"),))),
           Step("hit", shows=(("X-A", "\xe4"),))),
    script("age-is-rewritten", "RFC 9111 §5.1: one Age", fill(cc("max-age=60", more=(("Age", "3"),))),
           Step("hit", wait_s=4, shows=(("Age", "7"),))),
    script("no-age-on-a-miss", "RFC 9111 §5.1: Age stands for what was stored",
           Step("forwarded", (cc("max-age=60"),), shows=(("Age", ""),))),
    script("set-cookie", "RFC 9111 §7.3: a cookie is for one client",
           fill(cc("max-age=60", more=(("Set-Cookie", "a=b"), ETAG))), Step("forwarded", sent=(("If-None-Match", ""),),
           shows=(("Set-Cookie", ""),))),
    script("set-cookie-public", "RFC 9111 §7.3: nor here", fill(cc("public, s-maxage=60",
           more=(("Set-Cookie", "a=b"),))), Step("forwarded")),
    script("set-cookie-no-cache-names", "RFC 9111 §5.2.2.4",
           fill(cc('no-cache="Set-Cookie", max-age=60', more=(("Set-Cookie", "a=b"), ETAG))),
           Step("forwarded", sent=(("If-None-Match", ""),))),
    script("cookie-in-the-request", "RFC 6265 is no part of the key: the service says Vary or private",
           fill(cc("max-age=60"), ask=with_fields(("Cookie", "a=1"))), Step("hit", ask=with_fields(("Cookie", "a=2")))),
    script("vary-cookie", "RFC 9111 §4.1", fill(cc("max-age=60", more=(("Vary", "Cookie"),)),
           ask=with_fields(("Cookie", "a=1"))), Step("forwarded", ask=with_fields(("Cookie", "a=2")))),
]  # fmt: skip

SPEAKS = [
    script("miss", "RFC 9211 §2.2: uri-miss, stored",
           Step("forwarded", (cc("max-age=60"),), shows=(("Cache-Status", "headgate; fwd=uri-miss; stored"),))),
    script("hit", "RFC 9211 §2.1, §2.6", fill(cc("max-age=60")),
           Step("hit", wait_s=20, shows=(("Cache-Status", "headgate; hit; ttl=40"),))),
    script("ttl-below-zero", "RFC 9211 §2.6: negative where it is stale", fill(cc("max-age=60", more=(ETAG,))),
           Step("hit", ask=asks("max-stale"), wait_s=70, shows=(("Cache-Status", "headgate; hit; ttl=-10"),))),
    script("vary-miss", "RFC 9211 §2.2", fill(cc("max-age=60", more=(("Vary", "X-A"),))),
           Step("forwarded", ask=with_fields(("X-A", "1")),
           shows=(("Cache-Status", "headgate; fwd=vary-miss; detail=status"),))),
    script("request", "RFC 9211 §2.2: the request's directives", fill(cc("max-age=60")),
           Step("forwarded", (cc("max-age=60"),), asks("no-cache"),
                shows=(("Cache-Status", "headgate; fwd=request; stored"),))),
    script("stale-confirmed", "RFC 9211 §2.3: fwd-status", fill(cc("max-age=60", more=(ETAG,))),
           Step("revalidated", (confirms(ETAG),), wait_s=61,
                shows=(("Cache-Status", "headgate; fwd=stale; fwd-status=304; stored"),))),
    script("confirmed-not-stored", "RFC 9211 §2.4", fill(cc("max-age=60", more=(ETAG,))),
           Step("revalidated", (confirms(ETAG, ("Cache-Control", "no-store")),), wait_s=61,
                shows=(("Cache-Status", "headgate; fwd=stale; fwd-status=304"),))),
    script("stale-replaced", "RFC 9211 §2.2", fill(cc("max-age=60")),
           Step("forwarded", (cc("max-age=60"),), wait_s=61,
                shows=(("Cache-Status", "headgate; fwd=stale; stored"),))),
    script("in-place-of-a-failure", "RFC 9211 §2.3", fill(cc("max-age=60, stale-if-error=60")),
           Step("stale", (fails(),), wait_s=61,
                shows=(("Cache-Status", "headgate; fwd=stale; fwd-status=503; detail=stale-if-error"),))),
    script("in-place-of-silence", "RFC 9211 §2.3: there was no status", fill(cc("max-age=60, stale-if-error=60")),
           Step("stale", (NO_ANSWER,), wait_s=61,
                shows=(("Cache-Status", "headgate; fwd=stale; detail=stale-if-error"),))),
    script("method", "RFC 9211 §2.2: the method is not one to cache",
           Step("forwarded", ask=Ask(method="POST", body=b"x"), shows=(("Cache-Status", "headgate; fwd=method"),))),
    script("bypass", "RFC 9211 §2.2: not looked up", Step("forwarded", ask=with_fields(("Range", "bytes=0-")),
           shows=(("Cache-Status", "headgate; fwd=bypass"),))),
    script("failure", "RFC 9211 §2: on every answer",
           Step("forwarded", (NO_ANSWER,), status=502,
           shows=(("Cache-Status", "headgate; fwd=uri-miss; detail=no-answer"),))),
    script("behind-another-cache", "RFC 9211 §2: a member is appended",
           Step("forwarded", (cc("max-age=60", more=(("Cache-Status", "inner; hit"),)),),
                shows=(("Cache-Status", "inner; hit, headgate; fwd=uri-miss; stored"),)),
           Step("hit", shows=(("Cache-Status", "inner; hit, headgate; hit; ttl=60"),))),
    script("confirmed-by-another-cache", "RFC 9211 §2",
           fill(cc("max-age=60", more=(ETAG, ("Cache-Status", "inner; hit")))),
           Step("revalidated", (confirms(ETAG, ("Cache-Status", "inner; fwd=stale")),), wait_s=61,
                shows=(("Cache-Status", "inner; fwd=stale, headgate; fwd=stale; fwd-status=304; stored"),))),
    script("only-if-cached", "RFC 9211 §2.8", Step("504", ask=asks("only-if-cached"),
           shows=(("Cache-Status", "headgate; detail=only-if-cached"),))),
]  # fmt: skip
