"""Which stored answer, and what changes it: RFC 9111 §3.3, §3.5, §4.1, §4.3.5, §4.4."""

from __future__ import annotations

from ...unit.plugins.cache.stand import Ask, Origin, http_date
from .script import (
    AUTH,
    BR,
    DONE,
    ETAG,
    GZIP,
    MODIFIED,
    VARY,
    WEAK,
    Step,
    asks,
    cc,
    confirms,
    fails,
    fill,
    says,
    script,
    with_fields,
)

HELLO = b"hello"
RENEW = with_fields(("Cache-Control", "no-cache"), method="HEAD")


def variant(etag: str, body: bytes) -> Origin:
    return cc("max-age=60", more=(VARY, ("ETag", etag)), pieces=(body,))


ONE, TWO = variant('"g"', b"gz"), variant('"b"', b"br")
BOTH = (fill(ONE, ask=with_fields(GZIP)), fill(TWO, ask=with_fields(BR)))

VARIANTS = [
    script("side-by-side", "RFC 9111 §4.1: several may be stored", *BOTH,
           Step("hit", ask=with_fields(GZIP), body=b"gz"), Step("hit", ask=with_fields(BR), body=b"br")),
    script("none-fits", "RFC 9111 §4.1: none matches", *BOTH, Step("forwarded")),
    script("one-is-confirmed", "RFC 9111 §4.3.4: the one that was asked about", *BOTH,
           Step("revalidated", (confirms(("ETag", '"b"')),), with_fields(BR), wait_s=61, body=b"br",
                sent=(("If-None-Match", '"b"'),)),
           Step("hit", ask=with_fields(BR), body=b"br"),
           Step("revalidated", (confirms(("ETag", '"g"')),), with_fields(GZIP), body=b"gz",
                sent=(("If-None-Match", '"g"'),))),
    script("confirmed-as-the-other", "RFC 9111 §4.3.4: never freshened by another's tag", *BOTH,
           Step("forwarded", (confirms(("ETag", '"g"')), TWO), with_fields(BR), wait_s=61, body=b"br", asked=2)),
    script("failure-of-one", "RFC 5861 §4: only its own variant stands in",
           fill(cc("max-age=60, stale-if-error=60", more=(VARY,)), ask=with_fields(GZIP)),
           Step("forwarded", (fails(),), with_fields(BR), wait_s=61, status=503),
           Step("stale", (fails(),), with_fields(GZIP), body=HELLO)),
    script("all-go-when-changed", "RFC 9111 §4.4: every variant of the URI", *BOTH,
           Step("", (DONE,), Ask(method="PUT", body=b"x")), Step("forwarded", ask=with_fields(GZIP)),
           Step("forwarded", ask=with_fields(BR))),
    script("newest-of-two-that-fit", "RFC 9111 §4.1: the most recent", fill(cc("max-age=60"), ask=with_fields(GZIP)),
           fill(variant('"g"', b"gz"), ask=with_fields(GZIP, ("Cache-Control", "no-cache"))),
           Step("hit", ask=with_fields(GZIP), body=b"gz"), Step("forwarded", ask=with_fields(BR))),
    script("names-differ-by-variant", "RFC 9111 §4.1: each by what it nominates itself",
           fill(cc("max-age=60", more=(("Vary", "X-A"),)), ask=with_fields(("X-A", "1"))),
           fill(cc("max-age=60", more=(("Vary", "X-A, X-B"),), pieces=(b"two",)), ask=with_fields(("X-A", "2"),
           ("X-B", "1"))),
           Step("hit", ask=with_fields(("X-A", "1"), ("X-B", "9")), body=HELLO),
           Step("forwarded", ask=with_fields(("X-A", "2"), ("X-B", "9")))),
    script("at-most-so-many", "a bound: the oldest goes", *BOTH,
           fill(variant('"z"', b"z"), ask=with_fields(("Accept-Encoding", "zstd"))),
           Step("forwarded", ask=with_fields(GZIP)), max_variants=2),
]  # fmt: skip

HEAD = [
    script("renews-age", "RFC 9111 §4.3.5: the stored answer is updated", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=60", more=(ETAG,)),), RENEW, wait_s=50), Step("hit", wait_s=50, body=HELLO,
           shows=(("Age", "50"),))),
    script("renews-a-stale-one", "RFC 9111 §4.3.5", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=60", more=(ETAG,)),), Ask(method="HEAD"), wait_s=61),
           Step("hit", body=HELLO)),
    script("renews-fields", "RFC 9111 §4.3.5, §3.2", fill(cc("max-age=60", more=(ETAG, ("X-Own", "1")))),
           Step("forwarded", (cc("max-age=600", more=(ETAG, ("X-Own", "2"))),), RENEW),
           Step("hit", wait_s=300, shows=(("X-Own", "2"),), body=HELLO)),
    script("by-last-modified", "RFC 9111 §4.3.5", fill(cc("max-age=60", more=(MODIFIED,))),
           Step("forwarded", (cc("max-age=60", more=(MODIFIED,)),), RENEW, wait_s=50), Step("hit", wait_s=50)),
    script("without-validator", "RFC 9111 §4.3.5: nothing shows that it is the same", fill(cc("max-age=60")),
           Step("forwarded", (cc("max-age=600"),), RENEW, wait_s=50), Step("hit", shows=(("Age", "50"),)),
           Step("forwarded", wait_s=11)),
    script("other-last-modified", "RFC 9111 §4.3.5: it is no longer current", fill(cc("max-age=60", more=(MODIFIED,))),
           Step("forwarded", (cc("max-age=60", more=(("Last-Modified", http_date(0)),)),), RENEW), Step("forwarded")),
    script("other-length", "RFC 9111 §4.3.5: Content-Length", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=60", more=(ETAG,), pieces=(b"longer!",)),), RENEW), Step("forwarded")),
    script("no-length", "RFC 9111 §4.3.5: if there is one", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=60", more=(ETAG,), is_length_told=False),), RENEW, wait_s=50),
           Step("hit", wait_s=50)),
    script("forbids", "RFC 9111 §5.2.2.5: now no-store", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("no-store", more=(ETAG,)),), RENEW), Step("forwarded")),
    script("of-a-fallback", "what another target shows changes nothing", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=600", more=(ETAG,), end="fallback"),), RENEW, wait_s=50), Step("hit"),
           Step("revalidated", (confirms(ETAG),), wait_s=11)),
    script("304-passes", "RFC 9110 §13.1.2: the client's own condition", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (confirms(ETAG),), with_fields(("If-None-Match", '"v1"'), ("Cache-Control", "no-cache"),
           method="HEAD"), status=304), Step("hit", body=HELLO)),
    script("404-changes-nothing", "RFC 9111 §4.3.5: only 200", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (says(status=404),), RENEW), Step("hit")),
    script("head-of-a-stored-404", "RFC 9110 §9.3.2: the status of the GET", fill(cc("max-age=60", status=404)),
           Step("hit", ask=Ask(method="HEAD"), status=404, body=b"")),
]  # fmt: skip

RANGES = [
    *(
        script(f"{name.lower()}", "RFC 9111 §3.3, §4.3.2: passed by, in both directions", fill(cc("max-age=60",
               more=(ETAG, MODIFIED))), Step("forwarded", ask=with_fields((name, value)), sent=((name, value),)),
               Step("hit", body=HELLO))
        for name, value in (("Range", "bytes=0-1"), ("If-Match", '"v1"'), ("If-Unmodified-Since", http_date(0)))
    ),
    script("range-with-if-range", "RFC 9110 §13.1.5", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", ask=with_fields(("Range", "bytes=0-1"), ("If-Range", '"v1"')),
                sent=(("If-Range", '"v1"'), ("If-None-Match", "")))),
    script("if-range-alone", "RFC 9110 §13.1.5: without Range it is ignored", fill(cc("max-age=60", more=(ETAG,))),
           Step("hit", ask=with_fields(("If-Range", '"v0"')))),
    script("200-to-a-range-request", "RFC 9110 §14.2: not stored, as the request was passed by",
           fill(cc("max-age=60"), ask=with_fields(("Range", "bytes=0-1"))), Step("forwarded")),
    script("206-is-not-stored", "RFC 9111 §3.3", fill(cc("max-age=60", status=206, more=(("Content-Range",
           "bytes 0-1/5"), ETAG)), ask=with_fields(("Range", "bytes=0-1"))), Step("forwarded",
           sent=(("If-None-Match", ""),))),
    script("206-does-not-replace", "RFC 9111 §3.4", fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", (cc("max-age=60", status=206, more=(("Content-Range", "bytes 0-1/5"), ETAG)),),
                with_fields(("Range", "bytes=0-1"))), Step("hit", status=200, body=HELLO)),
    script("416-does-not-replace", "RFC 9110 §15.5.17", fill(cc("max-age=60")),
           Step("forwarded", (says(status=416),), with_fields(("Range", "bytes=9-"))), Step("hit", status=200)),
]  # fmt: skip

PERMITTED = [
    script("not-stored-then-not-answered", "RFC 9111 §3.5", fill(cc("max-age=60", more=(ETAG,)), ask=with_fields(AUTH)),
           Step("forwarded", sent=(("If-None-Match", ""),))),
    script("confirmed-under-authorization", "RFC 9111 §3.5: a 304 gives no permission either",
           fill(cc("max-age=60", more=(ETAG,))),
           Step("revalidated", (confirms(ETAG),), with_fields(AUTH), wait_s=61, body=HELLO), Step("forwarded")),
    script("confirmed-with-permission", "RFC 9111 §3.5", fill(cc("public, max-age=60", more=(ETAG,)),
           ask=with_fields(AUTH)),
           Step("revalidated", (confirms(ETAG),), with_fields(AUTH), wait_s=61), Step("hit", body=HELLO)),
    script("credential-reaches-the-origin", "RFC 9110 §11.6.2: it decides on each validation",
           fill(cc("public, no-cache", more=(ETAG,)), ask=with_fields(AUTH)),
           Step("revalidated", (confirms(ETAG),), with_fields(AUTH), sent=(("Authorization", AUTH[1]),))),
    script("refused-while-validating", "RFC 9111 §4.3.3: 401 is passed on, the entry is not given",
           fill(cc("public, no-cache", more=(ETAG,))),
           Step("forwarded", (says(status=401, pieces=(b"no",)),), with_fields(AUTH), status=401, body=b"no"),
           Step("revalidated", (confirms(ETAG),))),
    *(
        script(f"{name.lower()}-alone", "RFC 9111 §3.5 for what stands in Authorization's place",
               fill(cc("max-age=60"), ask=with_fields((name, "k"))), Step("forwarded", ask=with_fields((name, "k"))))
        for name in ("API-Key", "X-Goog-Api-Key", "AUTHORIZATION")
    ),
    script("tenants-validate-apart", "a tenant's entry is never asked for by another",
           fill(cc("max-age=60", more=(ETAG,)), ask=Ask(tenant="t")),
           Step("forwarded", ask=Ask(tenant="u"), sent=(("If-None-Match", ""),), wait_s=61)),
    script("tenants-fail-apart", "nor does it stand in for another",
           fill(cc("max-age=60, stale-if-error=60"), ask=Ask(tenant="t")),
           Step("forwarded", (fails(),), Ask(tenant="u"), wait_s=61, status=503),
           Step("stale", (fails(),), Ask(tenant="t"))),
]  # fmt: skip

CHANGES = [
    *(
        script(f"stale-{method.lower()}", "RFC 9111 §4.4: what is stale is gone, too",
               fill(cc("max-age=60", more=(ETAG,))), Step("", (DONE,), Ask(method=method, body=b"x"), wait_s=61),
               Step("forwarded", sent=(("If-None-Match", ""),)))
        for method in ("POST", "PUT", "PATCH", "DELETE", "PROPPATCH")
    ),
    *(
        script(f"status-{status}", "RFC 9111 §4.4: non-error is 2xx and 3xx", fill(cc("max-age=60")),
               Step("", (Origin((), status, ()),), Ask(method="POST", body=b"x")), Step(then))
        for status, then in ((201, "forwarded"), (202, "forwarded"), (301, "forwarded"), (307, "forwarded"),
            (404, "hit"), (409, "hit"), (412, "hit"), (503, "hit"))
    ),
    script("no-answer-to-the-change", "RFC 9111 §4.4: no non-error answer was received", fill(cc("max-age=60")),
           Step("", (Origin((), 0, (), end="error"),), Ask(method="POST", body=b"x")), Step("hit")),
    script("changed-then-stored", "RFC 9111 §4.4: from then on anew", fill(cc("max-age=60")),
           Step("", (DONE,), Ask(method="PUT", body=b"x")), fill(cc("max-age=60", pieces=(b"new",))),
           Step("hit", body=b"new")),
    script("put-of-another-host", "RFC 9111 §4.4: the target URI", fill(cc("max-age=60")),
           Step("", (DONE,), Ask(method="PUT", body=b"x", host="other.test")), Step("hit")),
    script("put-of-another-scheme", "RFC 9111 §4.4: the target URI", fill(cc("max-age=60")),
           Step("", (DONE,), Ask(method="PUT", body=b"x", scheme="http")), Step("hit")),
    script("request-is-forwarded-whole", "RFC 9111 §4: an unsafe request is written through",
           fill(cc("max-age=60", more=(ETAG,))),
           Step("forwarded", ask=Ask((("If-None-Match", '"x"'),), method="PUT", body=b"x"),
                sent=(("If-None-Match", '"x"'),))),
    script("no-cache-request-keeps", "RFC 9111 §5.2.1.4: no invalidation", fill(cc("max-age=60")),
           Step("forwarded", (fails(),), asks("no-cache")), Step("hit", body=HELLO)),
    script("weak-tag-in-the-answer", "RFC 9110 §8.8.1", fill(cc("max-age=60", more=(WEAK,))),
           Step("304", ask=with_fields(("If-None-Match", 'W/"v1"')))),
]  # fmt: skip
