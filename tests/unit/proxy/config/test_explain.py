"""What is said about one request."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headgate.proxy.config.explain import explain, render, render_routes
from headgate.proxy.config.load import load
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.schema import Config

TEXT = """\
listeners: [{address: 127.0.0.1:8080}]
clusters:
  heavy: {endpoints: ["http://10.0.0.1:1", "http://10.0.0.2:1"], timeouts: {connect: 1s, head: 10s, first_event: 20s}}
  lite: {endpoints: [unix:/run/lite.sock], timeouts: {connect: 500ms, head: 5s, first_event: 5s}}
models:
  auto: {targets: [[{cluster: heavy, weight: 3}, lite/small], lite], aliases: [gpt-4o]}
plugins:
  api_key: {pepper: env:PEPPER}
  by_model: {use: model_route}
  with_default: {use: model_route, default: auto}
stages: {auth: [api_key]}
routes:
  - name: files
    match: {path: "/files/{id}", methods: [GET, PUT], hosts: ["*.example.com"]}
    targets: [lite]
    stages: {auth: []}
    retry: {attempts: 2, backoff: 1s, max_backoff: 4s}
    busy_wait: 0
  - name: once
    match: {path: /once, methods: [POST]}
    targets: [heavy, lite]
    replay: never
    retry: {attempts: 3, backoff: 1s, max_backoff: 1s}
    deadline: 30s
  - name: chat
    match: {path: /v1/chat/completions, methods: [POST]}
    kind: inference
    stages: {route: [by_model]}
    max_attempts: 3
  - name: chat-default
    match: {path: /v1/completions}
    kind: inference
    stages: {route: [with_default]}
    deadline: 20s
  - name: beta
    match: {path: /beta, headers: {x-beta: {present: true}, x-v: {prefix: "1."}, x-old: {present: false}, x-e: "q"}}
    targets: [lite]
    stages: {aggregate: [by_model]}
"""


@pytest.fixture
def config(schemas: Mapping[str, PluginSchema]) -> Config:
    return load(TEXT, schemas, {"PEPPER": "p"})


def test_explain_names_route_parameters_stages_and_targets(config: Config) -> None:
    found = explain(config, "GET", "/files/a%20b?x=1", {"Host": "a.example.com:8080"})
    assert found.error is None and found.route is not None
    assert (found.route.name, dict(found.params), dict(found.stages)) == ("files", {"id": "a%20b"}, {})
    assert [target.name for target in found.targets] == ["lite"]
    assert found.may_resend
    assert dict(explain(config, "POST", "/once").stages) == {"auth": ("api_key",)}


@pytest.mark.parametrize(
    ("request_line", "headers", "error", "reason"),
    [
        (("GET", "/none"), {}, "route_not_found", "no route matches host (none) and path /none"),
        (("GET", "/files/1"), {"host": "example.com"}, "route_not_found", "no route matches host example.com"),
        (("DELETE", "/files/1"), {"host": "a.example.com"}, "method_not_allowed", "DELETE is not among GET, PUT"),
        (("GET", "/a/../b"), {}, "bad_request", "the path is ambiguous"),
        (("GET", "no-slash"), {}, "bad_request", "the path does not begin with `/`"),
        (("GET", "a//b?/"), {}, "bad_request", "the path does not begin with `/`"),
    ],
)
def test_explain_says_why_nothing_matches(
    config: Config, request_line: tuple[str, str], headers: dict[str, str], error: str, reason: str
) -> None:
    found = explain(config, *request_line, headers)
    assert found.error == error
    assert found.reason.startswith(reason)
    assert render(found) == f"answer  {error}: {found.reason}"


def test_explain_asks_for_header_fields_whatever_their_case(config: Config) -> None:
    assert explain(config, "GET", "/beta", {"X-Beta": "", "X-V": "1.2", "x-e": "q"}).error is None
    assert explain(config, "GET", "/beta", {"X-Beta": "", "X-V": "2", "x-e": "q"}).error == "route_not_found"


@pytest.mark.parametrize("model", ["auto", "gpt-4o"])
def test_explain_follows_a_model_and_its_alias(config: Config, model: str) -> None:
    found = explain(config, "POST", "/v1/chat/completions", model=model)
    assert found.model == "auto"
    assert [(target.group, target.share, target.name) for target in found.targets] == [
        (1, 0.75, "heavy"),
        (1, 0.25, "lite/small"),
        (2, 1.0, "lite"),
    ]
    assert found.targets[0].endpoints == ("http://10.0.0.1:1", "http://10.0.0.2:1")


def test_explain_refuses_a_model_that_is_missing_or_unknown(config: Config) -> None:
    assert explain(config, "POST", "/v1/chat/completions", model="nope").error == "model_not_found"
    assert explain(config, "POST", "/v1/chat/completions").error == "bad_body"
    assert explain(config, "POST", "/v1/completions").model == "auto"


def test_worst_case_adds_up_timeouts_and_pauses(config: Config) -> None:
    worst = explain(config, "GET", "/files/1", {"host": "a.example.com"}).worst
    assert worst is not None
    assert (worst.attempts, worst.patience_s) == (2, 2 * 5.5 + 1)
    assert not worst.is_cut_by_deadline


def test_worst_case_sends_once_what_may_not_be_sent_again(config: Config) -> None:
    worst = explain(config, "POST", "/once").worst
    assert worst is not None
    # Connecting may fail time and again; what follows a connection is waited for once.
    assert (worst.attempts, worst.patience_s) == (6, 3 * 1 + 3 * 0.5 + 4 * 1 + 10)
    assert worst.latency_s == 18.5


def test_worst_case_is_bounded_by_max_attempts_and_deadline(config: Config) -> None:
    worst = explain(config, "POST", "/v1/chat/completions", model="auto").worst
    assert worst is not None
    assert worst.attempts == 3
    assert worst.patience_s == 3 * 31 + 2 * 3
    cut = explain(config, "POST", "/v1/completions", model="auto").worst
    assert cut is not None
    assert (cut.latency_s, cut.is_cut_by_deadline) == (20.0, True)


def test_render_is_readable(config: Config) -> None:
    assert (
        render(explain(config, "POST", "/v1/chat/completions", model="gpt-4o"))
        == """\
route          chat (inference, /v1/chat/completions)
stage auth     api_key
stage route    by_model
model          auto
target         1. 75.0% of group heavy at http://10.0.0.1:1, http://10.0.0.2:1
target         1. 25.0% of group lite/small at unix:/run/lite.sock
target         2. lite at unix:/run/lite.sock
commit         with the first event or byte of the body
replay         safe: a body up to 1MiB is sent again after a failure
retry          up to 2 tries of a target for connect, reset, status
fallback       for connect, reset, silent, first_event, status, busy, error_event, malformed
hedge          none
hold back      none
after a break  resumed where that is exact, else an error
deadline       10m
worst case     3 attempts, 99s
worst cost     3 computations of the request"""
    )
    assert "note" in render(explain(config, "GET", "/beta", {"x-beta": "1", "x-v": "1.0", "x-e": "q"}))


ONE_ROUTE = """\
listeners: [{address: 127.0.0.1:8080}]
clusters:
  heavy: {endpoints: ["http://10.0.0.1:1"], timeouts: {connect: 1s, head: 9s, first_event: 20s}}
  lite: {endpoints: ["http://10.0.0.2:1"], timeouts: {connect: 1s, head: 4s, first_event: 5s}}
routes:
  - match: {path: "/{*rest}"}
    targets: [heavy, lite]
"""
UNSENT = "sent again only if nothing of it was sent"


def said_of(options: str, method: str = "POST", **fields: str) -> dict[str, str]:
    """What is said about a request on the one route, with these options, a line each."""
    text = ONE_ROUTE + "".join(f"    {line}\n" for line in options.splitlines())
    if "targets" in options:
        text = text.replace("    targets: [heavy, lite]\n", "", 1)
    lines = render(explain(load(text, {}, {}), method, "/", fields)).splitlines()
    return {line[:15].strip(): line[15:] for line in lines}


INFERENCE = "kind: inference\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            INFERENCE + "max_attempts: 1\nhedge: {after: 1s}",
            {
                "replay": "safe: there is one attempt",
                "retry": "none",
                "fallback": "none, but past an open breaker",
                "hedge": "none",
                "after a break": "an error",
                "worst case": "1 attempt, 30s",
                "worst cost": "1 computation of the request",
            },
            id="one attempt",
        ),
        pytest.param(
            INFERENCE + "replay: never\nhedge: {after: 1s}\nhold_back: 1 token",
            {
                "replay": f"never: {UNSENT}",
                "retry": "up to 2 tries of a target for connect, reset",
                "fallback": "for connect, reset, malformed",
                "hedge": "none",
                "hold back": "1 token, up to 1MiB",
                "after a break": "an error",
                "worst cost": "1 computation of the request",
            },
            id="never sent again",
        ),
        pytest.param(
            "retry: {attempts: 1}\nfallback: {on: []}\nreplay: safe",
            {"retry": "none", "fallback": "none, but past an open breaker", "worst case": "2 attempts, 23s"},
            id="no retry",
        ),
        pytest.param(
            "targets: [heavy]\nretry: {on: []}\nbusy_wait: 0\nreplay: safe",
            {"retry": "none", "fallback": "none", "worst case": "1 attempt, 10s"},
            id="one target",
        ),
        pytest.param(
            "targets: [{cluster: heavy, context: 8}, {cluster: lite, context: 9}]\nfallback: {on: []}\nreplay: safe",
            {"fallback": "for a prompt longer than the target's context"},
            id="a larger context",
        ),
        pytest.param(
            "retry: {attempts: 5}\nmax_attempts: 3\nreplay: safe",
            {"retry": "up to 3 tries of a target for connect, reset, status"},
            id="more tries than attempts",
        ),
        pytest.param(
            "replay: safe\nreplay_buffer: 0",
            {"replay": "safe: sent again after a failure, with a body only if nothing of that was sent"},
            id="no body is kept",
        ),
        pytest.param(
            "replay: safe\ndeadline: 10s\nhedge: {after: 10s}\ntargets: [heavy]\nretry: {on: []}\nbusy_wait: 0",
            {"hedge": "none", "worst case": "1 attempt, 10s"},
            id="a hedge at the deadline",
        ),
        pytest.param(
            "replay: safe\nhedge: {after: 5s, max: 2}",
            {"hedge": "2 beside one that has not begun after 5s; lite is given up after 5s"},
            id="a hedge of one target",
        ),
        pytest.param(
            "replay: safe\nhedge: {after: 10s}",
            {"hedge": "none: heavy is given up after 10s, lite is given up after 5s, before 10s"},
            id="a hedge of nobody",
        ),
        pytest.param(
            "replay: safe\nhedge: {after: 4s, max: 3}\nmax_attempts: 3",
            {"hedge": "2 beside one that has not begun after 4s"},
            id="more hedges than attempts",
        ),
        pytest.param("hold_back: 3 tokens", {"hold back": "the whole answer, up to 1MiB"}, id="tokens nobody counts"),
        pytest.param("hold_back: complete", {"hold back": "the whole answer, up to 1MiB"}, id="whole"),
        pytest.param("hold_back: 15s\ndeadline: 15s", {"hold back": "the whole answer, up to 1MiB"}, id="a long time"),
        pytest.param("hold_back: 1s", {"hold back": "1s, up to 1MiB"}, id="a time"),
        pytest.param(INFERENCE + "hold_back: 20 tokens", {"hold back": "20 tokens, up to 1MiB"}, id="tokens"),
        pytest.param("on_break: resume\nreplay: safe", {"after a break": "an error"}, id="nobody reads events"),
        pytest.param(
            "on_break: resume\nreplay: safe\ncommit: first_event",
            {"after a break": "resumed where that is exact, else an error"},
            id="somebody reads events",
        ),
        pytest.param(
            INFERENCE + "targets: [{cluster: heavy, prefill: plain}, lite]",
            {"after a break": "resumed where that is exact, or a chat from its text by heavy, else an error"},
            id="somebody goes on from a text",
        ),
    ],
)
def test_only_what_can_happen_is_announced(options: str, said: dict[str, str]) -> None:
    assert {name: text for name, text in said_of(options).items() if name in said} == said


def test_only_a_chat_goes_on_from_its_text() -> None:
    told = "kind: inference, targets: [{cluster: heavy, prefill: plain}]"
    text = ONE_ROUTE.partition("  - match")[0] + f"  - {{match: {{path: /v1/completions}}, {told}}}\n"
    assert "after a break  resumed where that is exact, else an error" in render(
        explain(load(text, {}, {}), "POST", "/v1/completions")
    )


def test_a_request_with_a_key_of_its_own_may_be_sent_again() -> None:
    hedge = "hedge: {after: 1s}"
    assert said_of(hedge)["replay"] == f"idempotent: {UNSENT}"
    assert said_of(hedge)["hedge"] == "none"
    keyed = said_of(hedge, **{"Idempotency-Key": "1"})
    assert keyed["replay"] == "idempotent: a body up to 1MiB is sent again after a failure"
    assert keyed["hedge"] == "1 beside one that has not begun after 1s"
    assert keyed["worst case"].startswith("6 attempts")
    assert said_of(hedge, "PUT") == keyed


def test_where_plugins_answer_no_attempt_is_announced(config: Config, schemas: Mapping[str, PluginSchema]) -> None:
    text = TEXT + "  - {match: {path: /list}, stages: {aggregate: [by_model]}, deadline: 3s}\n"
    lines = render(explain(load(text, schemas, {"PEPPER": "p"}), "GET", "/list")).splitlines()
    assert lines[-2:] == [
        "deadline         3s",
        "note             the plugin `by_model` may answer in place of the targets",
    ]


def test_render_routes_lists_them_in_the_order_of_matching(config: Config) -> None:
    lines = render_routes(config).splitlines()
    assert [line.split()[0] for line in lines] == ["ROUTE", "files", "beta", "once", "chat", "chat-default"]
    assert lines[1].split() == ["files", "*.example.com", "/files/{id}", "GET,PUT", "-", "0", "http", "lite"]
    assert "x-beta,x-v=1.…,!x-old,x-e=q" in lines[2]
