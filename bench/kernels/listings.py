"""What can be said of the kernels without a GPU: two tables in Markdown."""

from __future__ import annotations

from .program import Program, Run
from .work import Done

COMPILED = "| kernel | shape | configuration | function | registers | spilled B | shared B | opcodes |"
INTERPRETED = "| kernel | cases | largest error, float32 | float16 | seconds | planted bugs caught |"


def compile_table(run: Run, program: Program) -> str:
    """Return what each shape compiles to for sm_90."""
    lines = [COMPILED, "|---|---|---|---|---|---|---|---|"]
    for done in run.compiled:
        about = f"| {done.item.kernel} | {program.shape(done.item.kernel, done.item.number).name} |"
        if done.failure:
            lines.append(f"{about} failed: {done.failure} | | | | | |")
            continue
        config = ", ".join(f"{name} {value}" for name, value in done.found["config"].items())
        for kernel in done.found["kernels"]:
            numbers = (kernel["num_registers"], kernel["num_spilled_bytes"], kernel["num_shared_bytes"])
            cells = [config, f"`{kernel['name']}`", *map(str, numbers), " ".join(kernel["opcodes"])]
            lines.append(f"{about} {' | '.join(cells)} |")
    return "\n".join(lines)


def interpreter_table(run: Run, program: Program) -> str:
    """Return each kernel's errors in the interpreter, and how many of its planted bugs were noticed."""
    checks = {(done.item.kernel, done.item.detail): done for done in run.checks}
    lines = [INTERPRETED, "|---|---|---|---|---|---|"]
    for name in program.kernels:
        own = [checks.get((name, dtype)) for dtype in ("float32", "float16")]
        plants = [done for done in run.plants if done.item.kernel == name]
        caught = sum(not done.failure and done.found["is_caught"] for done in plants)
        cases = max((done.found["num_cases"] for done in own if done and not done.failure), default=0)
        seconds = sum(done.seconds for done in own if done)
        errors = " | ".join(map(_error, own))
        lines.append(f"| {name} | {cases} | {errors} | {seconds:.1f} | {caught} of {len(plants)} |")
    return "\n".join(lines)


def _error(done: Done | None) -> str:
    if done is None:
        return "not checked"
    return f"failed: {done.failure}" if done.failure else f"{done.found['error']:.1e}"
