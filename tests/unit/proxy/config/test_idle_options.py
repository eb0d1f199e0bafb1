"""Options of a route that do nothing, or contradict each other: each is warned about at its own place."""

from __future__ import annotations

import pytest

from .warned import ANY, CHAT, KEYED, NEVER, POST, SAFE, warnings_of


@pytest.mark.parametrize(
    ("route", "said"),
    [
        pytest.param(
            CHAT + "targets: [a]\nmax_attempts: 1\nhedge: {after: 2s}",
            "11:12: routes[0].hedge: `max_attempts: 1` leaves no room for it, wanted 2 or more there, or no `hedge`",
            id="one attempt",
        ),
        pytest.param(
            CHAT + "targets: [a]\nreplay: never\nhedge: {after: 2s}",
            f"11:12: routes[0].hedge: {NEVER}, {SAFE}, or no `hedge`",
            id="never sent again",
        ),
        pytest.param(
            POST + "targets: [a]\nhedge: {after: 2s}",
            f"9:12: routes[0].hedge: {KEYED}, {SAFE}, or no `hedge`",
            id="not idempotent",
        ),
        pytest.param(
            "match: {path: /, methods: [POST, PATCH]}\ntargets: [a]\nhedge: {after: 2s}",
            f"9:12: routes[0].hedge: {KEYED.replace('POST', 'POST or PATCH')}, {SAFE}, or no `hedge`",
            id="none is idempotent",
        ),
        pytest.param(
            CHAT + "targets: [a]\ndeadline: 5s\nhedge: {after: 5s}",
            "11:20: routes[0].hedge.after: got 5s, the deadline (5s) comes first, wanted less than that",
            id="at the deadline",
        ),
        pytest.param(
            CHAT + "targets: [a]\nhedge: {after: 122s}",
            "10:20: routes[0].hedge.after: got 122s, `a` is given up after 122s, wanted less than that",
            id="after all timeouts",
        ),
        pytest.param(
            ANY + "targets: [a]\nhedge: {after: 62s}",
            "9:20: routes[0].hedge.after: got 62s, `a` is given up after 62s, wanted less than that",
            id="no first event is waited for",
        ),
        pytest.param(
            CHAT + "targets: [a]\nhedge: {after: 122s}",
            "10:20: routes[0].hedge.after: got 122s, `a` is given up after 122s, wanted less than that",
            id="after its timeouts",
        ),
        pytest.param(
            CHAT + "targets: [a]\nmax_attempts: 3\nhedge: {after: 2s, max: 3}",
            "11:29: routes[0].hedge.max: got 3, `max_attempts: 3` leaves room for 2, wanted no more than that",
            id="more than there may be",
        ),
    ],
)
def test_a_hedge_that_never_begins(route: str, said: str) -> None:
    assert warnings_of(route) == [said]


@pytest.mark.parametrize(
    "route",
    [
        CHAT + "targets: [a, b]\ndeadline: 32s\nhedge: {after: 12s}",  # that of the second one
        CHAT + "targets: [a, b]\ndeadline: 32s\nhedge: {after: 20s}\nfallback: {on: [connect, status]}",  # no shares
        CHAT + "targets: [a]\nhedge: {after: 121s, max: 5}",
        ANY + "targets: [a]\nhedge: {after: 2s}",
        POST + "targets: [a]\nreplay: safe\nhedge: {after: 2s}",
        "match: {path: /, methods: [POST], headers: {idempotency-key: {present: true}}}\n"
        "targets: [a]\nhedge: {after: 2s}",
        "match: {path: /, methods: [POST, PUT]}\ntargets: [a]\nhedge: {after: 2s}",
    ],
)
def test_a_hedge_that_may_begin_is_not_warned_about(route: str) -> None:
    assert warnings_of(route) == []


@pytest.mark.parametrize(
    ("route", "said"),
    [
        pytest.param(
            ANY + "targets: [a, b]\nmax_attempts: 1\nretry: {attempts: 3}\nfallback: {on: [connect]}\nbusy_wait: 2s",
            [
                "10:12: routes[0].retry: `max_attempts: 1` leaves no room for it, "
                "wanted 2 or more there, or no `retry`",
                "11:15: routes[0].fallback: `max_attempts: 1` leaves no room for it, "
                "wanted 2 or more there, or no `fallback`",
                "12:16: routes[0].busy_wait: `max_attempts: 1` leaves no room for it, "
                "wanted 2 or more there, or no `busy_wait`",
            ],
            id="one attempt",
        ),
        pytest.param(
            ANY + "targets: [a]\nmax_attempts: 3\nretry: {attempts: 4}",
            [
                "10:23: routes[0].retry.attempts: got 4, `max_attempts` allows 3 over all targets, "
                "wanted no more than that"
            ],
            id="more than all",
        ),
        pytest.param(
            ANY + "targets: [a]\nfallback: {on: [connect]}",
            ["9:15: routes[0].fallback: there is no other target, wanted a second one, or no `fallback`"],
            id="one target",
        ),
        pytest.param(
            ANY + "targets: [a]\nretry: {backoff: 5s}",
            [
                "9:22: routes[0].retry.backoff: got 5s, no pause is longer than `max_backoff` (1s), wanted more there",
            ],
            id="cut pause",
        ),
        pytest.param(
            ANY + "targets: [a]\nretry: {backoff: 5s, max_backoff: 1m}\ndeadline: 5s",
            [
                "9:22: routes[0].retry.backoff: a pause may last until the deadline (5s), wanted a shorter one",
            ],
            id="pause until the deadline",
        ),
        pytest.param(
            ANY + "targets: [a, b]\nreplay: never\nretry: {on: [connect, status]}\nfallback: {on: [busy, reset]}\n"
            "busy_wait: 1s",
            [
                f"10:17: routes[0].retry.on: {NEVER}, so nothing follows `status`, {SAFE}",
                f"11:20: routes[0].fallback.on: {NEVER}, so nothing follows `busy`, {SAFE}",
                f"12:16: routes[0].busy_wait: {NEVER}, {SAFE}, or no `busy_wait`",
            ],
            id="never sent again",
        ),
        pytest.param(
            POST + "targets: [a, b]\nfallback: {on: [connect, status, error_event]}",
            [f"9:20: routes[0].fallback.on: {KEYED}, so nothing follows `status`, `error_event`, {SAFE}"],
            id="not idempotent",
        ),
        pytest.param(
            CHAT + "targets: [a, b]\nreplay_buffer: 0",
            [
                "10:20: routes[0].replay_buffer: got 0, so that no request is sent again once some of its body went "
                "out, wanted room for the body"
            ],
            id="no body is kept",
        ),
    ],
)
def test_a_further_attempt_that_is_never_made(route: str, said: list[str]) -> None:
    assert warnings_of(route) == said


STATUSES = "statuses: [500, 503, 429]"


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (f"fallback: {{on: [connect, status], {STATUSES}}}", "is always `busy`, wanted that in `on`"),
        (f"retry: {{on: [connect], {STATUSES}}}", "is not retried without `status` in `on`, wanted that there"),
        (f"retry: {{attempts: 1, {STATUSES}}}", "is not retried with `attempts: 1`, wanted 2 or more there"),
    ],
)
def test_a_busy_status_that_is_listed_where_nothing_follows_it(route: str, reason: str) -> None:
    path = f"routes[0].{route.partition(':')[0]}.statuses"
    assert warnings_of(f"{ANY}targets: [a, b]\n{route}") == [
        f"9:{route.index(str(status)) + 5}: {path}[{number}]: got {status}, which {reason}, or no {status} here"
        for number, status in ((1, 503), (2, 429))
    ]


@pytest.mark.parametrize(
    "route",
    [
        "retry: {statuses: [429, 503]}",  # where no other target is left
        "retry: {attempts: 1, statuses: [502]}",
        "fallback: {statuses: [429, 503]}",  # that is what `busy` does
        "fallback: {on: [busy], statuses: [503]}",
        "fallback: {on: [status]}",  # the default's 503 is nobody's mistake
    ],
)
def test_a_busy_status_that_is_followed_as_listed_is_not_warned_about(route: str) -> None:
    assert warnings_of(f"{ANY}targets: [a, b]\n{route}") == []


@pytest.mark.parametrize(
    "route",
    [
        ANY + "targets: [a, b]\nmax_attempts: 1\nretry: {attempts: 1}\nfallback: {on: []}\nbusy_wait: 0",
        ANY + "targets: [a]\nmax_attempts: 2\nretry: {attempts: 2}\nfallback: {on: []}",
        ANY + "targets: [[a, b]]\nfallback: {on: [connect]}",
        ANY + "targets: [a]\nretry: {backoff: 5s, max_backoff: 5s}",
        POST + "targets: [a, b]\nfallback: {on: [connect, reset, malformed]}\nretry: {attempts: 3}",
        ANY + "targets: [a, b]\nreplay_buffer: 0",
        CHAT + "targets: [a, b]\nreplay_buffer: 0\nreplay: never",
        "match: {path: /, methods: [GET]}\ntargets: [a, b]\nreplay_buffer: 0\nretry: {attempts: 3}",
    ],
)
def test_a_further_attempt_that_may_be_made_is_not_warned_about(route: str) -> None:
    assert warnings_of(route) == []


@pytest.mark.parametrize(
    ("route", "said"),
    [
        pytest.param(
            ANY + "targets: [a]\nmalformed: skip",
            ["9:16: routes[0].malformed: events are read by `kind: inference` only, wanted that, or no `malformed`"],
            id="no events",
        ),
        pytest.param(
            ANY + "targets: [a]\non_break: resume",
            [
                "9:15: routes[0].on_break: `kind: http` with `commit: head` reads no events, so nothing is resumed, "
                "wanted otherwise, or `on_break: error`"
            ],
            id="resume without events",
        ),
        pytest.param(
            ANY + "targets: [a]\non_break: resume\ncommit: first_event\nmax_attempts: 1",
            [
                "9:15: routes[0].on_break: `max_attempts: 1` leaves no room to resume, "
                "wanted otherwise, or `on_break: error`"
            ],
            id="resume in one attempt",
        ),
        pytest.param(
            POST + "targets: [a]\non_break: resume\ncommit: first_event",
            [f"9:15: routes[0].on_break: {KEYED}, wanted otherwise, or `on_break: error`"],
            id="resume without leave",
        ),
        pytest.param(
            CHAT + "targets: [a]\ndeadline: 10s\nhold_back: 10s",
            [
                "11:16: routes[0].hold_back: got 10s, the deadline (10s) comes first, "
                "wanted less than that, or `complete`"
            ],
            id="held beyond the deadline",
        ),
        pytest.param(
            ANY + "targets: [a]\nhold_back: 20 tokens",
            [
                "9:16: routes[0].hold_back: tokens are not counted on `kind: http` with `commit: head`, so that whole "
                "answers are held back, wanted `kind: inference`, or a time"
            ],
            id="tokens nobody counts",
        ),
        pytest.param(
            CHAT + "targets: [a]\nhold_back: 20000 tokens",
            [
                "10:16: routes[0].hold_back: got 20000 tokens, `hold_back_limit` (1MiB) is reached before that, "
                "wanted more there"
            ],
            id="more tokens than fit",
        ),
        pytest.param(
            CHAT + "targets: [a]\nreplay: never\nhold_back: 500ms",
            [
                f"11:16: routes[0].hold_back: {NEVER}, so that the answer only comes later, "
                "wanted otherwise, or no `hold_back`"
            ],
            id="held for nothing",
        ),
        pytest.param(
            CHAT + "targets: [a]\nmax_attempts: 1\nhold_back: 1 token",
            [
                "11:16: routes[0].hold_back: `max_attempts: 1` allows no other answer, so that the answer only comes "
                "later, wanted otherwise, or no `hold_back`"
            ],
            id="held for no other attempt",
        ),
        pytest.param(
            CHAT + "targets: [a]\nhold_back_limit: 4KiB",
            ["10:22: routes[0].hold_back_limit: nothing is held back here, wanted `hold_back`, or no limit"],
            id="limit of nothing",
        ),
        pytest.param(
            CHAT + "targets: [a]\nhold_back: complete\nhold_back_limit: 16383",
            [
                "11:22: routes[0].hold_back_limit: got 16383, a longer answer is given away before it is complete, "
                "wanted 16KiB or more"
            ],
            id="limit of whole answers",
        ),
    ],
)
def test_an_answer_that_is_not_treated_as_written(route: str, said: list[str]) -> None:
    assert warnings_of(route) == said


@pytest.mark.parametrize(
    "route",
    [
        CHAT + "targets: [a]\nmalformed: skip\nhold_back: complete\nhold_back_limit: 16KiB",
        CHAT + "targets: [a]\nhold_back: 9s\ndeadline: 10s",
        CHAT + "targets: [a]\nreplay: never\nhold_back: complete",  # whole answers or an error, at least
        ANY + "targets: [a]\non_break: resume\ncommit: first_event\nhold_back: 20 tokens",
        ANY + "targets: [a]\non_break: error\nmalformed: break",
    ],
)
def test_an_answer_that_is_treated_as_written_is_not_warned_about(route: str) -> None:
    assert warnings_of(route) == []


def test_a_field_that_the_gateway_writes_itself_is_set_in_vain() -> None:
    route = ANY + "targets: [a]\nrequest_headers: {set: {x-forwarded-prefix: /v1, x-request-id: a, x-team: b}}"
    said = "is written, or left out, by the gateway itself, wanted it set by the clusters"
    assert [warning.partition("set.")[2] for warning in warnings_of(route)] == [
        f"x-forwarded-prefix: `x-forwarded-prefix` {said}",
        f"x-request-id: `x-request-id` {said}",
    ]
