"""The demo as its user meets it: it starts, tells what to paste, keeps its tiers, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from headgate.inference.sample_checkpoint import write_sample_checkpoint

from .running_demo import COMMAND, Demo, children, demo, end, is_running

BOUND_S = 50.0


@pytest.fixture(scope="module")
def running() -> Iterator[Demo]:
    """The demo with its own models."""
    with demo() as started:
        yield started


def client_of(running: Demo) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="demo", max_retries=0, timeout=30)


def test_the_printed_snippet_works_as_pasted(running: Demo, tmp_path: Path) -> None:
    # From another folder: what is printed must not depend on where the demo was started.
    done = subprocess.run(
        ["bash", "-c", running.client_command()], cwd=tmp_path, capture_output=True, text=True, timeout=BOUND_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 3


def test_its_models_and_its_key(running: Demo) -> None:
    with client_of(running) as client:
        assert [model.id for model in client.models.list()] == ["auto", "heavy", "lite"]
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="another").models.list()


def test_the_admin_address_is_as_printed(running: Demo) -> None:
    with urllib.request.urlopen(f"{running.admin_url}/readyz", timeout=10) as answer:
        assert answer.status == 200


def test_heavy_killed_as_printed_is_replaced_at_once_and_comes_back(running: Demo) -> None:
    with client_of(running) as client:
        assert who_answers(client) == "heavy/heavy"
        signal_process(running.heavy_pid, signal.SIGKILL)
        assert who_answers(client) == "lite/lite"
        running.wait_for(lambda line: line.startswith("heavy is back"), BOUND_S)
        assert who_answers(client) == "heavy/heavy"


def who_answers(client: openai.OpenAI) -> str:
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": "What is headgate?"}], max_tokens=2
    )
    return str(raw.headers["x-headgate-target"])


def signal_process(pid: int, number: signal.Signals) -> None:
    assert is_running(pid)
    subprocess.run(["kill", f"-{int(number)}", str(pid)], check=True)


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that load fast, in which no token ends a text."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("heavy", "lite"):
        write_sample_checkpoint(folder / name, context_tokens=16384, has_end=False)
    return folder


def test_sigterm_ends_every_process_also_under_a_stream(small_models: Path) -> None:
    with demo("--models", str(small_models)) as started, client_of(started) as client:
        parts = children(started.process.pid)
        assert len(parts) == 3
        question: Any = [{"role": "user", "content": "hi"}]
        with client.chat.completions.create(model="auto", messages=question, max_tokens=16000, stream=True) as stream:
            next(stream)
            assert end(started.process) == 0
            with pytest.raises(openai.APIError):
                list(stream)
        assert [pid for pid in parts if is_running(pid)] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_starts_ends_every_process(small_models: Path, number: signal.Signals) -> None:
    command = [*COMMAND, "--port", "0", "--models", str(small_models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while len(parts := children(process.pid)) < 2:
            assert process.poll() is None
        assert end(process, number) == 0
        assert [pid for pid in parts if is_running(pid)] == []


def test_a_taken_port_gives_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("--port", str(port))
    line = f"headgate demo: cannot listen on 127.0.0.1:{port}: address already in use; take free ports with --port 0\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", line)


def test_missing_models_give_one_line(small_models: Path, tmp_path: Path) -> None:
    (tmp_path / "heavy").symlink_to(small_models / "heavy")
    refused = run("--port", "0", "--models", str(tmp_path))
    line = f"headgate demo: expected a model in {tmp_path}/lite, found none; choose another folder with --models\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", line)


def test_a_broken_model_ends_the_demo_with_its_reason(small_models: Path, tmp_path: Path) -> None:
    (tmp_path / "heavy").symlink_to(small_models / "heavy")
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "config.json").write_text("{")
    refused = run("--port", "0", "--models", str(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Traceback" not in refused.stderr
    assert str(tmp_path / "lite" / "config.json") in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("headgate demo: lite: ended with exit code 2 before it served")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_bad_port_is_refused(port: str) -> None:
    refused = run(f"--port={port}")
    assert refused.returncode == 2
    assert f"expected a port from 0 to 65535, got '{port}'" in refused.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=BOUND_S)


def test_where_the_client_is_missing_the_snippet_installs_it_first() -> None:
    program = (
        "import sys; sys.modules['openai'] = None; from headgate.demo.guide import guide; print(guide('U', 'A', 1))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    install = f"{sys.executable} -m pip install -q openai\n{sys.executable} - <<'END'\n"
    assert install in printed
