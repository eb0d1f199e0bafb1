"""A process that does what it is asked: `python -m bench.kernels.worker MODE`.

Modes: `gpu`, `interpret` (Triton's interpreter, on CPU tensors) and `compile` (Triton's compiler, on meta tensors).
Items come in on stdin, a line each, and an answer goes out for each; whatever else is printed goes to stderr. After
an error that spoils the GPU for the process, it answers so and ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .attempts import Failure, attempt
from .work import Done, Item

MODULES = {"gpu": "on_gpu", "interpret": "interpreted", "compile": "on_meta"}


def main() -> int:
    """Work until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = import_module(f"bench.kernels.{MODULES[sys.argv[1]]}")
    for line in sys.stdin:
        answer = done(Item(**json.loads(line)), module.DOES, module.is_sound)
        answers.write(answer.line())
        answers.flush()
        if answer.is_fatal:
            return 1
    return 0


def done(item: Item, does: Mapping[str, Callable[[Item], Mapping[str, Any]]], is_sound: Callable[[], bool]) -> Done:
    """Do an item; a failure is an answer too."""
    began = time.perf_counter()
    found = attempt(lambda: does[item.kind](item))
    seconds = time.perf_counter() - began
    if not isinstance(found, Failure):
        return Done(item, found, seconds=seconds)
    print(found.trace, file=sys.stderr)
    return Done(item, {}, found.said, found.trace, seconds, is_fatal=not is_sound())


if __name__ == "__main__":
    sys.exit(main())
