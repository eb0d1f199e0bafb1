"""Targeted cache control: RFC 9213, over the grammar of RFC 8941."""

from __future__ import annotations

from ...unit.plugins.cache.stand import http_date
from .script import AUTH, ETAG, NO_ANSWER, Script, Step, confirms, fails, fill, says, script, with_fields

CDN = "CDN-Cache-Control"


def wins(name: str, value: str, then: str, *, beside: str = "no-store", wait_s: float = 1.0, why: str = "") -> Script:
    """An answer with a targeted field beside a Cache-Control, and what the next request meets."""
    source = why or "RFC 9213 §2.2: used in place of Cache-Control and Expires"
    return script(name, source, fill(says((CDN, value), ("Cache-Control", beside))), Step(then, wait_s=wait_s))


TARGETED = [
    wins("max-age", "max-age=60", "hit"),
    wins("max-age-run-out", "max-age=60", "forwarded", beside="max-age=600", wait_s=61),
    wins("longer", "max-age=60", "hit", beside="max-age=1", wait_s=59),
    wins("max-age-0", "max-age=0", "forwarded", beside="max-age=60"),
    wins("s-maxage", "s-maxage=60, max-age=1", "hit", wait_s=59),
    wins("no-store", "no-store", "forwarded", beside="max-age=60"),
    wins("private", "private, max-age=60", "forwarded", beside="max-age=60"),
    wins("no-cache", "no-cache", "forwarded", beside="max-age=60"),
    wins("bare-directive-is-sound", "foo, max-age=60", "hit", why="RFC 9213 §2.1: unknown members are ignored"),
    wins("nothing-of-a-lifetime", "foo", "forwarded", beside="max-age=60",
         why="RFC 9213 §2.2: sound and not empty, it stands alone"),
    wins("true", "no-store=?1", "forwarded", beside="max-age=60", why="RFC 8941 §3.2: ?1 is the bare form"),
    wins("false", "no-store=?0, max-age=60", "hit", why="RFC 8941 §3.3.6: a directive that is not set"),
    wins("parameters", "max-age=60;x=1;y", "hit", why="RFC 9213 §2.1: parameters are ignored"),
    wins("inner-list", 'x=(a "b" 1);p, max-age=60', "hit", why="RFC 8941 §3.1.1: a sound member of another type"),
    wins("byte-sequence", "x=:YQ==:, max-age=60", "hit", why="RFC 8941 §3.3.5"),
    wins("string", 'x="a, \\"b", max-age=60', "hit", why="RFC 8941 §3.3.3: a comma in a string"),
    wins("token", "x=*a/b:c, max-age=60", "hit", why="RFC 8941 §3.3.4"),
    wins("tabs", "foo\t,\tmax-age=60", "hit", why="RFC 8941 §4.2.2: optional white space around commas"),
    wins("last-of-a-name", "max-age=1, max-age=60", "hit", wait_s=30, why="RFC 8941 §3.2: the last one counts"),
    wins("max-age-huge", "max-age=999999999999999", "hit", wait_s=9e6, why="RFC 9111 §1.2.2"),
    wins("empty", "", "hit", beside="max-age=60", why="RFC 9213 §2.1: empty is ignored"),
    wins("empty-and-no-store", "", "forwarded", why="RFC 9213 §2.1: empty is ignored"),
    wins("unknown-type", "max-age=60, &&&", "forwarded", why="RFC 9213 §2.1: ignored where it cannot be parsed"),
    wins("upper-case", "Max-Age=60", "forwarded", why="RFC 8941 §3.2: keys are lower-case"),
    wins("space-before-equals", "max-age =60", "forwarded", why="RFC 8941 §4.2.2"),
    wins("space-after-equals", "max-age= 60", "forwarded", why="RFC 8941 §4.2.2"),
    wins("comma-at-the-end", "max-age=60,", "forwarded", why="RFC 8941 §4.2.2: a trailing comma fails"),
    wins("comma-at-the-start", ",max-age=60", "forwarded", why="RFC 8941 §4.2.2"),
    wins("open-string", 'max-age=60, x="a', "forwarded", why="RFC 8941 §4.2.5"),
    wins("open-list", "max-age=60, x=(a", "forwarded", why="RFC 8941 §4.2.1.2"),
    wins("too-long-integer", "max-age=9999999999999999", "forwarded", why="RFC 8941 §4.2.4: 15 digits at most"),
    wins("not-ascii", "max-age=60, x=\xe4", "forwarded", why="RFC 8941 §4.2: ASCII only"),
    wins("malformed-falls-back", "max-age=1, &&&", "hit", beside="max-age=60", wait_s=30,
         why="RFC 9213 §2.1: as if the field were not there"),
    wins("string-for-a-number", 'max-age="60"', "forwarded",
         why="RFC 9213 §2.1: max-age is an Integer; what is none is no lifetime"),
    wins("decimal-for-a-number", "max-age=60.5", "forwarded", why="RFC 9213 §2.1"),
    wins("negative", "max-age=-60", "forwarded", why="RFC 9111 §1.2.2"),
    script("lines", "RFC 8941 §4.2: lines are joined",
           fill(says((CDN, "foo"), (CDN, "max-age=60"), ("Cache-Control", "no-store"))), Step("hit")),
    script("expires", "RFC 9213 §2.2: Expires is ignored, too",
           fill(says((CDN, "max-age=60"), ("Expires", http_date(-9)))), Step("hit", wait_s=59)),
    script("expires-cannot-help", "RFC 9213 §2.2", fill(says((CDN, "foo"), ("Expires", http_date(60)))),
           Step("forwarded")),
    script("age", "RFC 9111 §4.2.3: the age is what it is", fill(says((CDN, "max-age=60"), ("Age", "61"))),
           Step("forwarded")),
    script("passed-on", "RFC 9213 §2.2: others may be meant, too", fill(says((CDN, "max-age=60"))),
           Step("hit", shows=((CDN, "max-age=60"),))),
    script("authorization", "RFC 9111 §3.5: public allows it", fill(says((CDN, "public, max-age=60")),
           ask=with_fields(AUTH)), Step("hit")),
    script("authorization-in-the-other-field", "RFC 9213 §2.2: Cache-Control is not looked at",
           fill(says((CDN, "max-age=60"), ("Cache-Control", "public")), ask=with_fields(AUTH)), Step("forwarded")),
    script("stale-if-error", "RFC 5861 §4", fill(says((CDN, "max-age=60, stale-if-error=60"))),
           Step("stale", (NO_ANSWER,), wait_s=61)),
    script("must-revalidate-in-the-other-field", "RFC 9213 §2.2: Cache-Control is not looked at",
           fill(says((CDN, "max-age=60, stale-if-error=60"), ("Cache-Control", "must-revalidate"))),
           Step("stale", (fails(),), wait_s=61)),
    script("confirmed", "RFC 9111 §3.2: the 304's counts", fill(says((CDN, "max-age=60"), ETAG)),
           Step("revalidated", (confirms(ETAG, (CDN, "max-age=600")),), wait_s=61), Step("hit", wait_s=599)),
    script("own-list", "RFC 9213 §2.2: the first of the cache's list that is there",
           fill(says((CDN, "no-store"), ("Edge-Cache-Control", "max-age=60"))), Step("hit"),
           targeted=("Edge-Cache-Control", CDN)),
    script("second-of-the-list", "RFC 9213 §2.2: where the first is not sound",
           fill(says((CDN, "max-age=60"), ("Edge-Cache-Control", "&"))), Step("hit"),
           targeted=("Edge-Cache-Control", CDN)),
    script("not-in-the-list", "RFC 9213 §2.2: fields for others are nothing",
           fill(says(("X-Cache-Control", "max-age=60"))),
           Step("forwarded")),
    script("no-list", "RFC 9213 §2.2: the list may be empty", fill(says((CDN, "max-age=60"))), Step("forwarded"),
           targeted=()),
]  # fmt: skip
