"""The command line: exit codes, one clear line for what is wrong, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_explain_tells_route_targets_and_worst_case(config: Path) -> None:
    done = headgate("explain", str(config), "--method", "POST", "--path", "/v1/chat/completions", "--model", "gpt")
    assert done.returncode == 0
    for part in ("chat", "model_route", "a/large", "b/small", "worst case"):
        assert part in done.stdout


def test_explain_tells_that_no_route_takes_a_request(config: Path) -> None:
    done = headgate("explain", str(config), "--path", "/a/../b")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


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
