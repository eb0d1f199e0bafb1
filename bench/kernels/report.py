"""What a run says: one text that fits, one document, one exit code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .budget import Budget
from .figures import bound, figures, floor_us, target
from .program import Program, Run, is_right
from .spec import Shape
from .tables import best, by_bucket
from .work import Done

MAX_CHARACTERS = 12_000
NOT_MEASURED = "not measured"


def exit_code(run: Run) -> int:
    """Return 1 where a kernel is wrong or failed, else 0; a missed target and a peer that fails are no failure."""
    wrong = [done for done in run.checks if not is_right(done)]
    failed = [done for done in (*run.times, *run.compiled, *run.sweeps, *run.plants, *run.failures) if done.failure]
    missed = [done for done in run.plants if not done.failure and not done.found["is_caught"]]
    far = [done for done in run.twins if done.found.get("is_far")]
    return int(bool(wrong or failed or far or missed or any(found.is_bad for found in run.findings)))


def text(run: Run, program: Program, budget: Budget, date: str, seed: int) -> str:
    """Return the report, at most `MAX_CHARACTERS` long: rows of least importance are left out first, and counted."""
    head = [_machine(run, date, seed, budget), _ceilings(run.ceilings), "", *_checks(run, program)]
    tail = ["", *map(str, run.findings), *_failures(run, program), *_left_out(budget)]
    rows = [*_times(run, program), *_sweeps(run)]
    room = MAX_CHARACTERS - sum(len(line) + 1 for line in (*head, *tail)) - 60
    kept: list[str] = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        kept.append(row)
    missing = [f"and {len(rows) - len(kept)} lines more, in the file of the figures"] if len(kept) < len(rows) else []
    return _cut("\n".join([*head, *kept, *missing, *tail]))


def document(run: Run, program: Program, budget: Budget, date: str, seed: int) -> dict[str, Any]:
    """Return all of it, for a file."""
    return {
        "date": date,
        "machine": dict(run.machine),
        "seed": seed,
        "seconds": round(budget.spent(), 1),
        "ceilings": dict(run.ceilings),
        "checks": [_told(done) for done in run.checks],
        "compiled": [
            {**_told(done), "shape": program.shape(done.item.kernel, done.item.number).name} for done in run.compiled
        ],
        "twins": [_told(done) for done in run.twins],
        "times": [_time_told(done, run, program) for done in run.times],
        "peers": [
            {**_told(done), "shape": program.shape(done.item.kernel, done.item.number).name} for done in run.peers
        ],
        "sweeps": [_told(done) for done in run.sweeps],
        "sanitizer": [asdict(found) for found in run.findings],
        "failures": [_told(done) for done in run.failures],
        "left_out": [str(item) for item in budget.left_out],
    }


def _told(done: Done) -> dict[str, Any]:
    name = {"kernel": done.item.kernel, "number": done.item.number, "detail": done.item.detail}
    failure = {"failure": done.failure, "trace": done.trace} if done.failure else {}
    return {**name, "seconds": round(done.seconds, 2), **_plain(done.found), **failure}


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return it with infinity, which is no JSON, as a word."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in found.items()
    }


def _time_told(done: Done, run: Run, program: Program) -> dict[str, Any]:
    shape = program.shape(done.item.kernel, done.item.number)
    about = {"shape": shape.name, "target": shape.target, "max_us": shape.max_us, "ceiling": bound(shape)}
    us = done.found.get("us")
    if us is None:
        return {**_told(done), **about, "us": NOT_MEASURED}
    return {
        **_told(done),
        **about,
        "floor_us": floor_us(shape, run.ceilings),
        **asdict(figures(shape, us, run.ceilings)),
    }


def _machine(run: Run, date: str, seed: int, budget: Budget) -> str:
    about = run.machine
    sizes = [f"{about['num_sms']} SMs, L2 {about['l2_mib']} MiB"] if "num_sms" in about else []
    parts = [str(about["name"]), f"driver {about['driver'] or 'none'}", *sizes]
    parts += [f"torch {about['torch']}", f"Triton {about['triton']}", date, f"seed {seed}"]
    return ", ".join([*parts, f"{budget.spent():.0f} of {budget.seconds:.0f} s"])


def _ceilings(found: Mapping[str, float]) -> str:
    if not found:
        return f"ceilings: {NOT_MEASURED}"
    products = [f"{name} matmul {found[name] / 1e12:.0f} TFLOP/s" for name in ("bf16", "fp8") if name in found]
    return ", ".join([f"ceilings: copy {found['copy'] / 1e12:.2f} TB/s", *products])


def _checks(run: Run, program: Program) -> list[str]:
    """Return a row a kernel: the largest error in each type, beside its tolerance."""
    dtypes = ("bfloat16", "float16", "float32")
    found = {(done.item.kernel, done.item.detail): done for done in run.checks}
    lines = [f"{'error / tolerance':<18}" + "".join(f"{dtype:<20}" for dtype in dtypes) + "verdict"]
    for name in program.kernels:
        own = [found.get((name, dtype)) for dtype in dtypes]
        wrong = [done for done in own if done is not None and not is_right(done)]
        verdict = "WRONG" if wrong else f"right, {_num_cases(own)} cases" if any(own) else "not checked"
        cells = "".join(f"{_error(done):<20}" for done in own)
        lines.append(f"{name:<18}{cells}{verdict}")
        lines += [f"  {done.item.detail}: {_why(done)}" for done in wrong]
    return lines


def _error(done: Done | None) -> str:
    if done is None:
        return "-"
    return "failed" if done.failure else f"{done.found['error']:.1e} / {done.found['tolerance']:.1e}"


def _num_cases(own: Iterable[Done | None]) -> int:
    return max(int(done.found["num_cases"]) for done in own if done is not None)


def _why(done: Done) -> str:
    if done.failure:
        return done.failure
    note = f": {done.found['note']}" if done.found["note"] else ""
    return f"error {done.found['error']:.1e} in `{done.found['worst_case']}`{note}"


def _times(run: Run, program: Program) -> list[str]:
    """Return a row a shape, those with targets first, as they were timed."""
    if not run.times:
        return []
    head = f"{'us':>9} {'spread':>6} {'GB/s':>6} {'TFLOP/s':>7} {'part':>5} of   {'target':>9}"
    lines = ["", f"{'kernel and shape':<44}{head}        peers, times as long"]
    for done in run.times:
        shape = program.shape(done.item.kernel, done.item.number)
        peers = [
            one for one in run.peers if one.item.kernel == done.item.kernel and one.item.number == done.item.number
        ]
        lines.append(f"{done.item.kernel + ' ' + shape.name:<44.44}{_time(done, shape, run.ceilings, peers)}")
    return lines


def _time(done: Done, shape: Shape, ceilings: Mapping[str, float], peers: Sequence[Done]) -> str:
    if done.failure:
        return f" FAILED {done.failure[:90]}"
    us = done.found.get("us")
    if us is None:
        ran = sum(not peer.failure for peer in peers)
        failed = [f"{peer.item.detail} FAILED {peer.failure[:60]}" for peer in peers if peer.failure]
        return " ".join([f" {NOT_MEASURED}, target {target(shape)}, {ran} peers ran", *failed])
    about = figures(shape, us, ceilings)
    spread = (done.found["high_us"] - done.found["low_us"]) / us
    part = "-" if about.part is None else f"{about.part:.2f}"
    mark = {True: "met", False: "MISSED", None: ""}[about.is_met]
    cells = f"{us:>9.1f} {spread:>6.0%} {about.gb_per_s:>6.0f} {about.tflop_per_s:>7.1f} {part:>5} {bound(shape):<4}"
    method = "" if done.found["method"] == "graph" else ", not captured"
    return f"{cells} {target(shape):>9} {mark:<6} {_peers(peers, us)}{method}"


def _peers(peers: Sequence[Done], us: float) -> str:
    """Return each peer by how many times as long it takes."""
    return ", ".join(
        f"{peer.item.detail} " + (f"FAILED {peer.failure[:40]}" if peer.failure else f"{peer.found['us'] / us:.2f}")
        for peer in peers
    )


def _sweeps(run: Run) -> list[str]:
    if not run.sweeps:
        return []
    lines = ["", "sweep: bucket, tried, taken"]
    for name in dict.fromkeys(done.item.kernel for done in run.sweeps):
        own = [done for done in run.sweeps if done.item.kernel == name]
        for bucket, found in sorted(by_bucket(own).items()):
            tried = [one for each in found for one in each["tried"]]
            failed = sum("failure" in one for one in tried)
            late = sum(each["left_out"] for each in found)
            numbers = f"{len(tried)} tried, {failed} failed, {late} left out"
            lines.append(f"{name} {bucket}: {numbers}; {best(found) or NOT_MEASURED}, default {found[0]['default']}")
    return lines


def _failures(run: Run, program: Program) -> list[str]:
    failed = [done for done in (*run.compiled, *run.sweeps, *run.failures) if done.failure]
    spilled = [
        f"{done.item.kernel} {kernel['name']}: {kernel['num_spilled_bytes']} bytes spilled"
        for done in run.compiled
        for kernel in done.found.get("kernels", ())
        if kernel["num_spilled_bytes"]
    ]
    far = [
        f"WRONG at the size of {program.shape(done.item.kernel, done.item.number).name}: {done.item.kernel} "
        f"differs from its twin by {done.found['difference']}"
        for done in run.twins
        if done.found.get("is_far")
    ]
    lacking = [
        f"{done.item.kernel}: {', '.join(done.found['lacking'])} missing"
        for done in run.compiled
        if done.found.get("lacking")
    ]
    return [f"failed: {done.item}: {done.failure}" for done in failed] + far + sorted({*spilled, *lacking})


def _left_out(budget: Budget) -> list[str]:
    items = budget.left_out
    if not items:
        return []
    counted: dict[str, int] = {}
    for item in items:
        name = f"{item.kind} {item.kernel}".strip()
        counted[name] = counted.get(name, 0) + 1
    return ["left out for want of time: " + ", ".join(f"{name} ({number})" for name, number in counted.items())]


def _cut(whole: str) -> str:
    return whole if len(whole) <= MAX_CHARACTERS else whole[: MAX_CHARACTERS - 4] + "\n..."
