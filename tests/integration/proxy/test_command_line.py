"""The command line: exit codes, one clear line for what is wrong, no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ...running import gateway, plain

GOOD = """
listeners: [{address: "127.0.0.1:0"}]
clusters: {a: {endpoints: ["http://127.0.0.1:1"]}, b: {endpoints: ["http://127.0.0.1:2"]}}
models: {big: {targets: [a/large, b/small], aliases: [gpt]}}
plugins: {model_route: {}}
routes:
  - {name: chat, match: {path: /v1/chat/completions, methods: [POST]}, kind: inference, stages: {route: [model_route]}}
  - {name: rest, match: {path: "/{*rest}"}, targets: [a]}
"""


def headgate(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headgate.proxy", *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=50, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    return path


def test_check_says_ok(config: Path) -> None:
    done = headgate("check", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok, 2 routes, 2 clusters" in done.stdout


def test_check_warns_of_options_that_do_nothing_and_takes_the_file(config: Path) -> None:
    config.write_text(GOOD.replace("targets: [a]}", "targets: [a], max_attempts: 1, hedge: {after: 1s}}"))
    done = headgate("check", str(config))
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"warning: {config}:8:83: routes[1].hedge: `max_attempts: 1` leaves no room for it, "
        "wanted 2 or more there, or no `hedge`"
    ]
    assert done.stdout == f"{config}: ok, 2 routes, 2 clusters, 1 warning\n"
    strict = headgate("check", "--strict", str(config))
    assert (strict.returncode, strict.stderr) == (2, done.stderr)
    assert strict.stdout == f"{config}: refused, 2 routes, 2 clusters, 1 warning\n"
    config.write_text(GOOD)
    assert headgate("check", "--strict", str(config)).returncode == 0


def test_check_counts_one_thing_as_one(config: Path) -> None:
    config.write_text(
        "listeners: [{address: 127.0.0.1:0}]\nclusters: {a: {endpoints: ['http://127.0.0.1:9']}}\n"
        "routes: [{match: {path: /}, targets: [a]}]\n"
    )
    assert headgate("check", str(config)).stdout == f"{config}: ok, 1 route, 1 cluster\n"


def test_warnings_are_logged_at_the_start_and_at_each_reload() -> None:
    told = "`max_attempts: 1` leaves no room for it"
    idle = plain("http://127.0.0.1:1", max_attempts=1, hedge={"after": "1s"})

    async def main() -> None:
        async with gateway(idle) as gate:
            await gate.until(lambda: told in "\n".join(gate.complaints))
            gate.write({**idle, "routes": [{**idle["routes"][0], "busy_wait": "1s"}]})
            gate.signal(signal.SIGHUP)
            await gate.until(lambda: any("version 2 is in force" in line for line in gate.complaints))
            warned = [line.split()[-1] for line in gate.complaints if line.startswith("WARNING") and told in line]
            assert warned == ["`hedge`", "`hedge`", "`busy_wait`"]

    asyncio.run(main())


def test_only_so_many_warnings_are_logged() -> None:
    lone = {"endpoints": ["http://127.0.0.1:1"]}
    many = plain("http://127.0.0.1:1")
    many["clusters"] |= {f"unused-{number}": lone for number in range(120)}

    async def main() -> None:
        async with gateway(many) as gate:
            await gate.until(lambda: any("20 more" in line for line in gate.complaints))
            assert sum("no target names this cluster" in line for line in gate.complaints) == 100

    asyncio.run(main())


def test_an_error_is_told_alone_and_refuses_the_file(config: Path) -> None:
    config.write_text(GOOD.replace("targets: [a]}", "targets: [a], max_attempts: 0, hedge: {after: 1s}}"))
    done = headgate("check", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert "routes[1].max_attempts: got 0" in done.stderr and "warning" not in done.stderr


def test_explain_tells_route_targets_and_worst_case(config: Path) -> None:
    done = headgate("explain", str(config), "--method", "POST", "--path", "/v1/chat/completions", "--model", "gpt")
    assert done.returncode == 0
    for part in ("chat", "model_route", "a/large", "b/small", "worst case"):
        assert part in done.stdout


def test_explain_tells_that_no_route_takes_a_request(config: Path) -> None:
    done = headgate("explain", str(config), "--path", "/a/../b")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("method", ["G ET", "", "GET\t", "GÉT"])
def test_explain_refuses_a_method_that_no_request_can_have(config: Path, method: str) -> None:
    done = headgate("explain", str(config), "--method", method)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"headgate: expected --method to be a token such as `GET`, got {method!r}\n"


def test_a_key_without_a_value_is_told_once(config: Path) -> None:
    for blank in ("targets: }", "stages: {route: }}", "stages: {aggregate: }}"):
        config.write_text(
            f"listeners: [{{address: 127.0.0.1:0}}]\nclusters: {{}}\nroutes: [{{match: {{path: /}}, {blank}]\n"
        )
        done = headgate("check", str(config))
        (told,) = done.stderr.splitlines()
        assert done.returncode == 2 and told.endswith("there is no value, wanted one, or the key left out")


def test_routes_are_listed(config: Path) -> None:
    done = headgate("routes", str(config))
    assert done.returncode == 0
    assert done.stdout.index("chat") < done.stdout.index("rest")


def test_a_new_key_and_its_digest_fit_together() -> None:
    made = headgate("keys", "new", "--env", "test", "--pepper", "env:PEPPER", PEPPER="a-pepper-of-the-test")
    key, digest = (line.split()[1] for line in made.stdout.splitlines())
    hashed = headgate("keys", "hash", "--pepper", "env:PEPPER", stdin=key + "\n", PEPPER="a-pepper-of-the-test")
    assert (hashed.returncode, hashed.stdout.strip()) == (0, digest)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("serve", "/no/such/file.yaml"), 2, "no such file"),
        (("check", "/no/such/file.yaml"), 2, "no such file"),
        (("proxy", "ftp://x"), 2, "wanted a URL"),
        (("proxy", "http://127.0.0.1:1", "--listen", "nonsense"), 2, 'headgate: --listen: got "nonsense", wanted'),
        (("proxy", "http://127.0.0.1:1/a?b"), 2, 'headgate: URL: got "http://127.0.0.1:1/a?b", wanted'),
        (("proxy", "http://127.0.0.1:1", "--deadline", "x"), 2, 'headgate: --deadline: got "x", wanted'),
        (("keys", "hash", "--pepper", "env:NOT_SET_ANYWHERE"), 2, "expected one key"),
        (("keys", "new", "--pepper", "plain-text"), 2, "wanted `env:NAME`"),
        (("keys", "new", "--env", "UPPER"), 2, "expected an environment"),
        (("frobnicate",), 2, "invalid choice"),
        ((), 2, "COMMAND"),
    ],
)
def test_a_bad_value_is_one_clear_line(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = headgate(*arguments)
    assert done.returncode == code
    assert message in done.stderr.lower() or message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = headgate("proxy", "http://127.0.0.1:1", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("headgate: cannot listen on 127.0.0.1:")
    assert "another program listens there" in done.stderr


def test_every_command_has_help() -> None:
    for command in ("serve", "proxy", "check", "explain", "routes", "plugins", "keys", "fault-upstream", "demo"):
        done = headgate(command, "--help")
        assert done.returncode == 0
        assert command in done.stdout
