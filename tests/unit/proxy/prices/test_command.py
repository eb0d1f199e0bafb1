"""`headgate plugins bench`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.proxy.cli.main import main
from headgate.proxy.key_format import digest, new_key

CONFIG = """
listeners: [{address: "127.0.0.1:2"}]
clusters: {a: {endpoints: ["http://127.0.0.1:1"]}}
models: {big: {targets: [a]}}
plugins:
  model_route: {}
  rate_limit: {by: [address], rate: 1000000/s, burst: 1000000}
  api_key:
    pepper: env:PEPPER
    inline: [{id: k, tenant: t, digests: [{digest: DIGEST}]}]
stages: {ratelimit: [rate_limit]}
routes:
  - {name: chat, match: {path: /v1/chat/completions}, kind: inference, stages: {route: [model_route]}}
  - {name: one, match: {path: /one}, targets: [a]}
  - {name: two, match: {path: "/two/{id}"}, targets: [a]}
  - {name: keys, match: {path: /keys}, targets: [a], stages: {auth: [api_key], ratelimit: [rate_limit]}}
  - {name: bare, match: {path: /bare}, targets: [a], stages: {ratelimit: []}}
"""
PEPPER = "a-pepper-of-enough-bytes"


Bench = Callable[..., tuple[str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.replace("DIGEST", "5" * 64))
    return path


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Run the command; return what it said."""
    monkeypatch.setenv("PEPPER", PEPPER)

    def run(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
        try:
            found = main(["plugins", "bench", *map(str, arguments)])
        except SystemExit as end:  # of argparse
            found = int(end.code or 0)
        said = capsys.readouterr()
        assert found == code, said.err
        return said.out, said.err

    return run


def test_a_table_for_each_route_that_has_plugins_those_alike_together(bench: Bench, config: Path) -> None:
    out, _ = bench(config, "--rounds", "3")
    blocks = re.split(r"^(?=route )", out, flags=re.MULTILINE)[1:]
    assert [block.partition("\n")[0] for block in blocks] == [
        "route chat: in the lane, answered 100% 200",
        "route one (and two, which are alike): in the lane, answered 100% 200",
    ]
    number = r"-?\d+\.\d"
    for name, stage in (("model_route", "route"), ("rate_limit", "ratelimit")):
        assert re.search(
            rf"^  {name} +{number} +{number} to {number} +{number} +\d\.\d\d  {stage}$", blocks[0], re.MULTILINE
        ), blocks[0]
    assert re.search(rf"^  {number} µs an exchange with all plugins, {number} µs without any$", out, re.MULTILINE)


def test_where_a_plugin_ends_exchanges_the_others_are_told_not_to_be_called(bench: Bench, config: Path) -> None:
    route = "{name: pre, match: {path: /pre, methods: [OPTIONS]}, targets: [a], stages: {auth: [headers]}}"
    text = CONFIG.replace(
        "model_route: {}", "model_route: {}\n  headers: {cors: {allow_origins: ['https://a.example']}}"
    )
    config.write_text(text.replace("DIGEST", "5" * 64) + f"  - {route}\n")
    origin = ("--header", "Origin: https://a.example", "--header", "Access-Control-Request-Method: GET")
    out, err = bench(config, "--rounds", "1", "--route", "pre", *origin)
    assert err == ""
    assert out.startswith("route pre: in the lane, answered 100% 204\n")
    assert re.search("^  rate_limit +was not called$", out, re.MULTILINE)


LIMITED = CONFIG.replace("rate: 1000000/s, burst: 1000000", "rate: 1/h, burst: 30").replace("DIGEST", "5" * 64)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--route", "keys"),
            "route `keys`: expected answers of 2xx, got 401 (unauthenticated: no key in authorization, x-api-key): "
            "give a credential that may ask here, --header 'Authorization: Bearer KEY'",
        ),
        (
            ("--route", "chat", "--body", "BODY"),
            "route `chat`: expected answers of 2xx, got 404 "
            "(model_not_found: the model `unknown` does not exist or may not be used): "
            "give what the route takes by --header and --body",
        ),
        (
            ("--route", "one"),
            "route `one`: expected answers of 2xx, got 429 to some of them: give a configuration with higher limits",
        ),
    ],
)
def test_what_is_not_answered_well_has_no_price(
    bench: Bench, config: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "body").write_text('{"model": "unknown"}')
    config.write_text(LIMITED)
    given = [str(tmp_path / "body") if each == "BODY" else each for each in arguments]
    assert bench(config, "--rounds", "3", *given, code=1) == ("", f"headgate: {told}\n")
    assert bench(config, "--rounds", "3", "--json", *given, code=1)[1] == f"headgate: {told}\n"


def test_a_credential_can_be_given(bench: Bench, config: Path) -> None:
    key = new_key("test")
    config.write_text(CONFIG.replace("DIGEST", digest(key, PEPPER)))
    out, _ = bench(config, "--route", "keys", "--header", f"Authorization: Bearer {key}", "--rounds", "2")
    assert out.startswith("route keys: in the lane, answered 100% 200\n")
    assert out.count("\nroute ") == 0


def test_the_figures_as_json(bench: Bench, config: Path, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"model": "big"}')
    out, _ = bench(config, "--json", "--rounds", "2", "--route", "chat", "--body", body)
    told = json.loads(out)
    (route,) = told["routes"]
    assert (told["rounds"], route["route"], route["is_inline"], route["statuses"]) == (2, "chat", True, {"200": 40})
    assert route["error"] == ""
    assert {price["plugin"] for price in route["prices"]} == {"model_route", "rate_limit"}
    assert set(route["prices"][0]) == {"plugin", "stages", "us", "low_us", "high_us", "least_us", "ratio"}
    assert route["unused"] == []
    assert route["with_all_us"] > 0 and route["without_any_us"] > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--route", "on"), "headgate: --route: unknown route 'on', did you mean `one`?"),
        (("--route", "bare"), "headgate: --route: expected a route with plugins in its stages, 'bare' has none"),
        (("--header", "nothing"), "headgate: expected --header NAME:VALUE in ASCII, got 'nothing'"),
        (("--rounds", "0"), "expected a number of rounds from 1 to 100000, got '0'"),
    ],
)
def test_wrong_arguments_are_told(bench: Bench, config: Path, arguments: tuple[str, ...], told: str) -> None:
    out, err = bench(config, *arguments, code=2)
    assert (out, err.strip().splitlines()[-1].endswith(told)) == ("", True), err


def test_what_cannot_be_measured_is_told(bench: Bench, config: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    _, err = bench(missing, code=2)
    assert str(missing) in err
    _, err = bench(config, "--body", missing, code=1)
    assert err == f"headgate: [Errno 2] No such file or directory: '{missing}'\n"
    config.write_text(CONFIG.replace("model_route: {}", "model_rout: {}"))
    _, err = bench(config, code=2)
    assert "model_rout" in err
    config.write_text(CONFIG.partition("models:")[0] + "routes: [{match: {path: /}, targets: [a]}]")
    _, err = bench(config, code=2)
    assert err == "headgate: expected a configuration with plugins in the stages of a route, there is none\n"


def test_a_route_that_cannot_be_asked_is_told_and_the_others_are_measured(bench: Bench, config: Path) -> None:
    """The request that would be made for `two` is taken by another route."""
    taken = "  - {name: taken, match: {path: /two/x}, targets: [a], stages: {ratelimit: []}}\n"
    config.write_text(
        CONFIG.replace("DIGEST", "5" * 64).replace("  - {name: one, match: {path: /one}, targets: [a]}\n", taken)
    )
    out, err = bench(config, "--rounds", "1")
    assert err.startswith("headgate: expected a request for route `two`, GET /two/x goes to route `taken`\n")
    assert out.startswith("route chat")


def test_the_help_says_what_is_not_measured(bench: Bench) -> None:
    out, _ = bench("--help")
    assert "Not measured: what a plugin waits for" in out
