"""Distributions as installers leave them, without one."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

INFO = "greeting-1.2.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: greeting\nVersion: 1.2\n"
POINTS = b"[headgate.plugins]\ngreeting = greeting:Greeting\n"
FILES = {"greeting/__init__.py": b"WORD = 'hello'\n", "greeting/words.txt": b"hello\n"}


def install(base: Path, files: Mapping[str, bytes] | None = None, **info: bytes) -> Distribution:
    """Lay the distribution `greeting` into a folder, with the RECORD that pip writes; `info` are more of its facts."""
    facts = {"METADATA": METADATA, "entry_points.txt": POINTS, "INSTALLER": b"pip\n", "WHEEL": b"", **info}
    laid = {**(FILES if files is None else files), **{f"{INFO}/{name}": data for name, data in facts.items()}}
    for path, data in laid.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(data)
    write_record(base, [f"{path},{_hash(data)},{len(data)}" for path, data in laid.items()])
    return found(base)


def write_record(base: Path, rows: list[str]) -> None:
    cached = "greeting/__pycache__/__init__.cpython-311.pyc,,"
    (base / INFO / "RECORD").write_text("\n".join(["../../bin/greet,,", *rows, cached, f"{INFO}/RECORD,,", ""]))


def found(base: Path) -> Distribution:
    (distribution,) = distributions(path=[str(base)])
    return distribution


def _hash(data: bytes) -> str:
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
