"""Stale answers: RFC 9111 §4.2.4, §5.2.1.2, RFC 5861."""

from __future__ import annotations

from ...unit.plugins.cache.stand import Ask, Origin
from .script import ETAG, NO_ANSWER, Script, Step, asks, cc, confirms, fails, fill, script, with_fields

HELLO = b"hello"
STORED = cc("max-age=60", more=(ETAG,))
GRACE = cc("max-age=60, stale-if-error=100")


def never(directive: str, allowance: str, source: str) -> Script:
    """An answer with a directive that forbids to give it stale, whatever allows it."""
    return script(
        f"{directive.partition('=')[0]}-beats-{allowance.partition('=')[0]}",
        source,
        fill(cc(f"max-age=60, {directive}, {allowance}", more=(ETAG,))),
        Step("forwarded", (fails(),), asks("max-stale"), wait_s=61, status=503),
        Step("forwarded", (NO_ANSWER,), asks("max-stale=500, stale-if-error=500"), wait_s=1, status=502),
    )


MAX_STALE = [
    script("max-stale", "RFC 9111 §5.2.1.2: stale by no more than this is taken", fill(STORED),
           Step("hit", ask=asks("max-stale=10"), wait_s=65, body=HELLO, shows=(("Age", "65"),))),
    script("max-stale-at-the-second", "RFC 9111 §5.2.1.2: no more than", fill(STORED),
           Step("hit", ask=asks("max-stale=10"), wait_s=70)),
    script("max-stale-exceeded", "RFC 9111 §5.2.1.2", fill(STORED),
           Step("forwarded", ask=asks("max-stale=10"), wait_s=71)),
    script("max-stale-bare", "RFC 9111 §5.2.1.2: of any age", fill(STORED),
           Step("hit", ask=asks("max-stale"), wait_s=3000)),
    script("max-stale-bare-and-number", "RFC 9111 §4.2.1: the first that says more is no bound less", fill(STORED),
           Step("hit", ask=asks("max-stale=1, max-stale"), wait_s=3000)),
    script("max-stale-unreadable", "RFC 9111 §1.2.2: the cautious reading", fill(STORED),
           Step("forwarded", ask=asks("max-stale=x"), wait_s=61)),
    script("max-stale-quoted", "RFC 9111 §5.2: both forms are accepted", fill(STORED),
           Step("hit", ask=asks('max-stale="10"'), wait_s=65)),
    script("max-stale-with-max-age", "RFC 9111 §5.2.1.1: the age is bounded nevertheless", fill(STORED),
           Step("forwarded", ask=asks("max-stale=100, max-age=62"), wait_s=65)),
    script("max-stale-within-max-age", "RFC 9111 §5.2.1.1: unless max-stale is also present", fill(STORED),
           Step("hit", ask=asks("max-stale=100, max-age=80"), wait_s=65)),
    script("max-stale-with-min-fresh", "RFC 9111 §5.2.1.3: the stricter of the two", fill(STORED),
           Step("forwarded", ask=asks("max-stale=100, min-fresh=1"), wait_s=65)),
    script("max-stale-with-no-cache", "RFC 9111 §5.2.1.4", fill(STORED),
           Step("revalidated", (confirms(ETAG),), asks("max-stale=100, no-cache"), wait_s=65)),
    script("max-stale-only-if-cached", "RFC 9111 §5.2.1.7: consistent with the other constraints", fill(STORED),
           Step("hit", ask=asks("max-stale=100, only-if-cached"), wait_s=65)),
    script("max-stale-not-kept", "RFC 9111 §4.2.4: nothing is kept here", fill(STORED),
           Step("forwarded", ask=asks("max-stale=100"), wait_s=65), keep_stale="0s"),
    script("max-stale-must-revalidate", "RFC 9111 §5.2.2.2: MUST NOT without validation",
           fill(cc("max-age=60, must-revalidate", more=(ETAG,))),
           Step("forwarded", ask=asks("max-stale=100"), wait_s=65)),
    script("max-stale-proxy-revalidate", "RFC 9111 §5.2.2.8",
           fill(cc("max-age=60, proxy-revalidate", more=(ETAG,))),
           Step("forwarded", ask=asks("max-stale=100"), wait_s=65)),
    script("max-stale-s-maxage", "RFC 9111 §5.2.2.10: as proxy-revalidate", fill(cc("s-maxage=60", more=(ETAG,))),
           Step("forwarded", ask=asks("max-stale=100"), wait_s=65)),
    script("max-stale-no-cache-answer", "RFC 9111 §5.2.2.4", fill(cc("no-cache, max-age=60", more=(ETAG,))),
           Step("forwarded", ask=asks("max-stale=100"), wait_s=1)),
]  # fmt: skip

KEPT = cc("max-age=60, stale-while-revalidate=100")
TAGGED = cc("max-age=60, stale-while-revalidate=100", more=(ETAG,))
NEW = cc("max-age=60", pieces=(b"new",))

WHILE = [
    script("at-once", "RFC 5861 §3: served while it is revalidated, without blocking", fill(KEPT),
           Step("hit", (NEW,), wait_s=61, body=HELLO, shows=(("Cache-Status", "headgate; hit; ttl=-1"), ("Age", "61"))),
           Step("hit", wait_s=1, body=b"new")),
    script("slow-origin", "RFC 5861 §3: others are served meanwhile, too, and nobody asks twice", fill(KEPT),
           Step("hit", (cc("max-age=60", pieces=(b"new",), delay_s=30),), wait_s=61),
           Step("hit", wait_s=20, body=HELLO), Step("hit", wait_s=20, body=b"new")),
    script("window", "RFC 5861 §3: not after that", fill(KEPT), Step("forwarded", (NEW,), wait_s=161, body=b"new")),
    script("last-second", "RFC 5861 §3", fill(KEPT), Step("hit", (NEW,), wait_s=159.5, body=HELLO)),
    script("confirmed-behind", "RFC 9111 §4.3.4: by a 304", fill(TAGGED),
           Step("hit", (confirms(ETAG),), wait_s=61, body=HELLO),
           Step("hit", wait_s=1, body=HELLO, shows=(("Age", "1"),))),
    script("failure-behind", "RFC 5861 §3: tried again with the next request", fill(KEPT),
           Step("hit", (fails(),), wait_s=61), Step("hit", (NEW,), wait_s=1, body=HELLO),
           Step("hit", wait_s=1, body=b"new")),
    script("silence-behind", "RFC 5861 §3", fill(KEPT), Step("hit", (NO_ANSWER,), wait_s=61),
           Step("hit", (NEW,), wait_s=1, body=HELLO), Step("hit", wait_s=1, body=b"new")),
    script("client-condition", "RFC 9111 §4.3.2: evaluated against what is given", fill(TAGGED),
           Step("304", (NEW,), with_fields(("If-None-Match", '"v1"')), wait_s=61), Step("hit", wait_s=1, body=b"new")),
    script("client-condition-is-not-sent", "RFC 9111 §4.3.1: what answers it confirms nothing stored", fill(KEPT),
           Step("hit", (NEW,), with_fields(("If-None-Match", '"v1"')), wait_s=61), Step("hit", wait_s=1, body=b"new")),
    script("request-no-cache", "RFC 9111 §5.2.1.4", fill(KEPT), Step("forwarded", ask=asks("no-cache"), wait_s=61)),
    script("request-max-age", "RFC 9111 §5.2.1.1", fill(KEPT), Step("forwarded", ask=asks("max-age=60"), wait_s=61)),
    script("request-min-fresh", "RFC 9111 §5.2.1.3", fill(KEPT), Step("forwarded", ask=asks("min-fresh=1"), wait_s=61)),
    script("unreadable", "RFC 9111 §1.2.2", fill(cc("max-age=60, stale-while-revalidate=x")),
           Step("forwarded", wait_s=61)),
    script("without-single-flight", "RFC 5861 §3: not a matter of waiting", fill(KEPT),
           Step("hit", (NEW,), wait_s=61), Step("hit", wait_s=1, body=b"new"), single_flight=False),
    *(
        script(f"{name}-forbids", f"RFC 9111 {source}",
               fill(cc(f"max-age=60, stale-while-revalidate=100, {directive}")),
               Step("forwarded", wait_s=61))
        for name, directive, source in (("must-revalidate", "must-revalidate", "§5.2.2.2"),
            ("proxy-revalidate", "proxy-revalidate", "§5.2.2.8"), ("s-maxage", "s-maxage=60", "§5.2.2.10"))
    ),
    script("changed-meanwhile", "RFC 9111 §4.4: what an unsafe request outdates is not stored", fill(KEPT),
           Step("hit", (cc("max-age=60", pieces=(b"old",), delay_s=30),), wait_s=61),
           Step("", (Origin((), 204, ()),), Ask(method="PUT", body=b"x"), wait_s=10), Step("forwarded", wait_s=30)),
    script("not-kept", "RFC 9111 §4.2.4: nothing is kept here", fill(KEPT), Step("forwarded", wait_s=61),
           keep_stale="0s"),
]  # fmt: skip

IF_ERROR = [
    *(
        script(f"status-{status}", "RFC 5861 §4: 500, 502, 503 and 504 are errors", fill(GRACE),
               Step("stale", (fails(status),), wait_s=61, body=HELLO, status=200, shows=(("Age", "61"),)))
        for status in (500, 502, 503, 504)
    ),
    *(
        script(f"status-{status}", "RFC 5861 §4: no error in this sense", fill(GRACE),
               Step("forwarded", (fails(status),), wait_s=61, status=status))
        for status in (400, 403, 404, 429, 501, 505)
    ),
    script("no-answer", "RFC 5861 §4: any situation that would result in such a status", fill(GRACE),
           Step("stale", (NO_ANSWER,), wait_s=61, body=HELLO, status=200)),
    script("window", "RFC 5861 §4: no longer than this after it has become stale", fill(GRACE),
           Step("stale", (fails(),), wait_s=159), Step("forwarded", (fails(),), wait_s=2, status=503)),
    script("no-permission", "RFC 9111 §4.2.4: not unless it is allowed", fill(STORED),
           Step("forwarded", (fails(),), wait_s=61, status=503)),
    script("no-permission-no-answer", "RFC 9111 §4.2.4", fill(STORED),
           Step("forwarded", (NO_ANSWER,), wait_s=61, status=502)),
    script("by-the-request", "RFC 5861 §4: the request may allow it", fill(STORED),
           Step("stale", (fails(),), asks("stale-if-error=10"), wait_s=65, body=HELLO)),
    script("by-the-request-exceeded", "RFC 5861 §4", fill(STORED),
           Step("forwarded", (fails(),), asks("stale-if-error=10"), wait_s=75)),
    script("unreadable", "RFC 9111 §1.2.2: the cautious reading", fill(cc("max-age=60, stale-if-error=x")),
           Step("forwarded", (fails(),), wait_s=61)),
    script("bare", "RFC 5861 §4: needs an argument", fill(cc("max-age=60, stale-if-error")),
           Step("forwarded", (fails(),), wait_s=61)),
    script("twice", "RFC 9111 §4.2.1: told in two ways, it counts for nothing",
           fill(cc("max-age=60, stale-if-error=10, stale-if-error=500")), Step("forwarded", (fails(),), wait_s=61)),
    script("huge", "RFC 9111 §1.2.2: overflow; kept as long as the cache keeps",
           fill(cc(f"max-age=60, stale-if-error={'9' * 30}")), Step("stale", (fails(),), wait_s=3659)),
    script("request-no-cache", "RFC 9111 §5.2.1.4: not without successful validation", fill(GRACE),
           Step("forwarded", (fails(),), asks("no-cache"), wait_s=61)),
    script("request-max-age", "RFC 9111 §5.2.1.1: not older than asked", fill(GRACE),
           Step("forwarded", (fails(),), asks("max-age=50"), wait_s=61)),
    script("request-min-fresh", "RFC 9111 §5.2.1.3", fill(GRACE),
           Step("forwarded", (fails(),), asks("min-fresh=1"), wait_s=61)),
    script("entry-stays", "RFC 5861 §4: for the next failure, too", fill(GRACE),
           Step("stale", (fails(),), wait_s=61), Step("stale", (NO_ANSWER,), wait_s=1)),
    script("good-answer-passes", "RFC 5861 §4: only in place of an error", fill(GRACE),
           Step("forwarded", (cc("max-age=60", pieces=(b"new",)),), wait_s=61, body=b"new"), Step("hit", body=b"new")),
    script("with-a-condition", "RFC 9111 §4.3.3", fill(cc("max-age=60, stale-if-error=100", more=(ETAG,))),
           Step("stale", (fails(),), wait_s=61, sent=(("If-None-Match", '"v1"'),), body=HELLO)),
    script("nothing-stored", "RFC 5861 §4: nothing to give", Step("forwarded", (fails(),), status=503)),
    script("stored-404", "RFC 5861 §4: whatever is stored", fill(cc("max-age=60, stale-if-error=100", status=404)),
           Step("stale", (fails(),), wait_s=61, status=404)),
    never("must-revalidate", "stale-if-error=100", "RFC 9111 §5.2.2.2"),
    never("proxy-revalidate", "stale-if-error=100", "RFC 9111 §5.2.2.8"),
    never("s-maxage=60", "stale-if-error=100", "RFC 9111 §5.2.2.10, §4.2.4"),
    never("no-cache", "stale-if-error=100", "RFC 9111 §5.2.2.4"),
]  # fmt: skip
