"""The best configurations that a sweep found, as `inference/kernels/tables/<kernel>.json`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .work import Done

MADE_BY = "python -m bench.kernels --sweep"
TABLES = Path(__file__).resolve().parents[2] / "inference" / "kernels" / "tables"
LEAST_GAIN = 0.02  # over the default: less is noise


def best(found: Sequence[Mapping[str, Any]]) -> Mapping[str, int] | None:
    """Return the configuration to take for a bucket, of the sweeps of its shapes; None where nothing was timed.

    It did not fail on any of the shapes, and has the least mean (geometric) of time over the shape's least. The
    default stays unless it is slower by more than noise.
    """
    times: dict[str, list[float]] = {}
    for one in found:
        timed = {_key(tried["config"]): tried["us"] for tried in one["tried"] if "us" in tried}
        if timed:
            least = min(timed.values())
            for key, us in timed.items():
                times.setdefault(key, []).append(math.log(us / least))
    num_shapes = max((len(logs) for logs in times.values()), default=0)
    means = {key: sum(logs) / num_shapes for key, logs in times.items() if len(logs) == num_shapes}
    if not means:
        return None
    key = min(means, key=lambda key: means[key])
    usual = _key(found[0]["default"])
    if usual in means and means[usual] - means[key] < LEAST_GAIN:
        key = usual
    config: Mapping[str, int] = json.loads(key)
    return config


def by_bucket(sweeps: Sequence[Done]) -> dict[str, list[Mapping[str, Any]]]:
    """Return what was found, by bucket, of the sweeps of one kernel."""
    buckets: dict[str, list[Mapping[str, Any]]] = {}
    for done in sweeps:
        if not done.failure:
            buckets.setdefault(done.found["bucket"], []).append(done.found)
    return buckets


def table(sweeps: Sequence[Done], machine: Mapping[str, Any], date: str) -> dict[str, Any] | None:
    """Return a kernel's table; None where nothing was timed."""
    found = {bucket: best(ones) for bucket, ones in by_bucket(sweeps).items()}
    buckets = {bucket: config for bucket, config in sorted(found.items()) if config is not None}
    if not buckets:
        return None
    made = {"made_by": MADE_BY, "date": date, "device": machine["name"]}
    return {**made, "torch": machine["torch"], "triton": machine["triton"], "buckets": buckets}


def write(path: Path, table: Mapping[str, Any]) -> None:
    """Write a table in the place of the one that is there, at once.

    Buckets of that one stay where this has none and all else was the same.
    """
    if path.is_file():
        before = json.loads(path.read_text())
        if all(before.get(part) == table[part] for part in ("device", "torch", "triton")):
            table = {**table, "buckets": {**before["buckets"], **table["buckets"]}}
    write_json(path, table)


def write_json(path: Path, content: object) -> None:
    """Write a file in the place of the one that is there, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(unfinished, path)


def _key(config: Mapping[str, int]) -> str:
    return json.dumps(dict(config), sort_keys=True)
