"""Other gateways for models, in environments of their own below build/: they cost milliseconds a request."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import distributions
from pathlib import Path

from .places import CONFIGS, Place, free_port, peer_config, running_peer
from .processes import Running

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "build" / "peers"
_LITELLM = ENVIRONMENTS / "litellm"
_PORTKEY = ENVIRONMENTS / "portkey"
_PORTKEY_PACKAGE = Path("node_modules/@portkey-ai/gateway")
_INSTALL_S = 900
# Nothing of it is asked for over a network.
_LITELLM_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
}


def start_litellm(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run LiteLLM as bench/peers/litellm.yaml says, one worker."""
    config, port = peer_config(place, "litellm.yaml", None, "127.0.0.1:9001")
    options = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False")
    arguments = (str(_LITELLM / "bin" / "litellm"), "--config", str(config), *options)
    return running_peer(arguments, place, config.parent, port, _LITELLM_ENVIRONMENT)


def start_portkey(place: Place) -> AbstractAsyncContextManager[Running]:
    """Run Portkey's gateway, which has no configuration: requests say by `portkey_fields` where they go."""
    port, folder = free_port(), place.folder / "portkey"
    folder.mkdir()
    script = _PORTKEY / _PORTKEY_PACKAGE / "build" / "start-server.js"
    return running_peer(("node", str(script), f"--port={port}", "--headless"), place, folder, port)


def portkey_fields(origin_port: int) -> str:
    """Return the fields of bench/peers/portkey.fields, each with its line end, with the port of the origin."""
    lines = (CONFIGS / "portkey.fields").read_text().replace("9001", str(origin_port)).splitlines()
    return "".join(f"{line}\r\n" for line in lines)


def litellm_version() -> str:
    """Return the version that is installed, empty where none is."""
    folders = [str(folder) for folder in _LITELLM.glob("lib/python3*/site-packages")]
    # By its metadata alone: to ask the program takes seconds.
    return next((found.version for found in distributions(name="litellm", path=folders)), "")


def portkey_version() -> str:
    """Return the version that is installed, empty where none is."""
    package = _PORTKEY / _PORTKEY_PACKAGE / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else ""


def install(report: Callable[[str], None]) -> None:
    """Install what is not there; say so in one line where that fails."""
    for name, version, installer in (
        ("litellm", litellm_version, _install_litellm),
        ("portkey", portkey_version, _install_portkey),
    ):
        if version():
            continue
        report(f"installing {name} (once)")
        try:
            installer()
        except (OSError, subprocess.SubprocessError) as error:
            report(f"left out: {name} could not be installed: {_cause(error)}")


def _install_litellm() -> None:
    _run((sys.executable, "-m", "venv", str(_LITELLM)))
    pip = (str(_LITELLM / "bin" / "pip"), "--disable-pip-version-check", "install", "-q", "--no-deps")
    _run((*pip, "-r", str(CONFIGS / "litellm.txt")))


def _install_portkey() -> None:
    if shutil.which("npm") is None:
        raise FileNotFoundError("npm is missing; run: sudo apt-get install -y nodejs npm")
    _PORTKEY.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIGS / "portkey.json", _PORTKEY / "package.json")
    _run(("npm", "install", "--prefix", str(_PORTKEY), "--ignore-scripts", "--no-audit", "--no-fund"))


def _run(arguments: Sequence[str]) -> None:
    subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=_INSTALL_S)


def _cause(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (said or str(error)).strip().rpartition("\n")[2]


VERSIONS: Mapping[str, Callable[[], str]] = {"litellm": litellm_version, "portkey": portkey_version}
