"""What wrk reports is believed only where every answer was right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.figures import InvalidRun
from bench.works import ANSWER, ANSWER_TEXT, POST
from bench.wrk import read_report, write_script

FAILURES = ("connect", "read", "write", "status", "timeout")


def report(bad: int = 0, requests: int = 1000, first_bad: str = "", failed: str = "") -> str:
    figures = {"requests": requests, "duration_us": 2_000_000, "p50_us": 1500, "p99_us": 9000, "bad": bad}
    failures = {name: 3 if name == failed else 0 for name in FAILURES}
    return f"Running 2s test\nfigures {json.dumps(figures | {'failed': failures})}\nfirst_bad {first_bad}\n"


def test_figures_are_read() -> None:
    load = read_report(report())
    assert (load.units, load.duration_s, load.p50_ms, load.p99_ms) == (1000, 2.0, 1.5, 9.0)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_makes_the_run_invalid(name: str) -> None:
    with pytest.raises(InvalidRun, match=f"'{name}': 3"):
        read_report(report(failed=name))


def test_a_wrong_answer_makes_the_run_invalid_and_is_shown() -> None:
    with pytest.raises(InvalidRun, match="1 of 1000 answers were wrong, the first: 502 with 11 bytes: bad gateway"):
        read_report(report(bad=1, first_bad="502 with 11 bytes: bad gateway"))


def test_no_answer_makes_the_run_invalid() -> None:
    with pytest.raises(InvalidRun):
        read_report(report(requests=0))


def test_no_figures_make_the_run_invalid() -> None:
    with pytest.raises(InvalidRun, match="unable to connect"):
        read_report("unable to connect to 127.0.0.1:1 Connection refused\n")


def written(path: Path) -> list[bytes]:
    data, found = path.read_bytes(), []
    while data:
        length, _, data = data.partition(b"\n")
        found.append(data[: int(length)])
        data = data[int(length) :]
    return found


def test_requests_are_written_with_their_lengths(tmp_path: Path) -> None:
    script = write_script(POST, tmp_path)
    found = written(script.requests)
    assert found == list(POST.requests()) and len(found) == 1000
    assert all(re.match(rb"POST /v1/chat/completions HTTP/1\.1\r\n", request) for request in found)
    assert script.expected.read_bytes() == ANSWER and script.connections == POST.connections


def test_a_proxy_that_wants_fields_gets_them_in_every_request(tmp_path: Path) -> None:
    plain = write_script(POST, tmp_path)
    script = write_script(POST, tmp_path, "X-A: 1\r\nX-B: 2\r\n", is_exact=False)
    for request, before in zip(written(script.requests), written(plain.requests), strict=True):
        assert request.replace(b"X-A: 1\r\nX-B: 2\r\n", b"") == before
        assert b" HTTP/1.1\r\nX-A: 1\r\nX-B: 2\r\nHost: " in request
    assert script.expected.read_bytes() == ANSWER_TEXT


def test_the_text_of_an_answer_stands_once_in_it() -> None:
    assert ANSWER.count(ANSWER_TEXT) == 1 and len(ANSWER_TEXT) > 50
