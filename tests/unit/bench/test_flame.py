"""The flame table counts the ends of stacks, and names them alike on every machine."""

from __future__ import annotations

import pytest

from bench.figures import InvalidRun
from bench.flame import functions, is_waiting, main, read_stacks, tidy

RAW = """\
main (run.py);serve (proxy/gateway.py);loads (orjson.cpython-311-x86_64-linux-gnu.so) 3
main (run.py);serve (proxy/gateway.py) 5
main (run.py);other thing (proxy/gateway.py);serve (proxy/gateway.py) 2
"""


def test_each_function_has_its_share_and_its_time() -> None:
    found = functions(read_stacks(RAW), cpu_us=200)
    assert found == [
        {"function": "serve (proxy/gateway.py)", "us": 140.0, "share": 0.7},
        {"function": "loads (orjson.cpython-311-x86_64-linux-gnu.so)", "us": 60.0, "share": 0.3},
    ]


def test_the_interpreter_works_for_whom_it_was_called() -> None:
    raw = (
        "serve (proxy/gateway.py);_PyEval_Vector (libpython3.11.so.1.0);Py_DECREF (object.h) 3\n"
        "serve (proxy/gateway.py);gc_collect_main (libpython3.11.so.1.0) 1\n"
    )
    found = {str(one["function"]): one["us"] for one in functions(read_stacks(raw), cpu_us=4)}
    assert found == {"serve (proxy/gateway.py)": 3, "gc_collect_main (libpython3.11.so.1.0)": 1}


@pytest.mark.parametrize(
    ("stack", "waits"),
    [
        ("run (loop.c);uv__io_poll (linux.c);epoll_pwait (libc.so.6)", True),
        ("get (q.c);PyThread_acquire_lock_timed (libpython3.11.so.1.0);0x7fe2 (libc.so.6);0x7fe3 (libc.so.6)", True),
        ("run (loop.c);writev (libc.so.6)", False),
        ("epoll_pwait (libc.so.6);a (x.c);b (x.c);c (x.c)", False),
    ],
)
def test_who_waits_is_left_out(stack: str, waits: bool) -> None:
    assert is_waiting(stack.split(";")) == waits


def test_no_sample_makes_the_run_invalid() -> None:
    with pytest.raises(InvalidRun):
        functions([], 1.0)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("begin (/home/me/headgate/proxy/downstream/head.py)", "begin (downstream/head.py)"),
        ("begin (head.py:17)", "begin (head.py)"),
        ("uv_run (/x/site-packages/uvloop/loop.cpython-311.so)", "uv_run (loop.cpython-311.so)"),
        ("<listcomp> (a (b)/c.py)", "<listcomp> (a (b)/c.py)"),
        ("0x7fe21fe3f16 (libc.so.6)", "unnamed (libc.so.6)"),
        ("nothing known", "nothing known"),
    ],
)
def test_a_frame_says_no_more_than_function_and_file(frame: str, name: str) -> None:
    assert tidy(frame) == name


def test_a_missing_profiler_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("missing: py-spy wrk; run: ") and said.count("\n") == 1
