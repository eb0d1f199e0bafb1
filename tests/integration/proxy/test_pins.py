"""Pins of a plugin that pip has installed: what is not as pinned is refused, and not a line of it is run."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.proxy.config.load import load
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.plugin_types import PluginTypes

from ...http_client import fetch
from ...running import RunningGateway, process

HELLO = Path(__file__).parents[3] / "examples" / "headgate-plugin-hello"
CONFIG = (HELLO / "gateway.yaml").read_text().replace("127.0.0.1:8080", "127.0.0.1:0")
NAME = "headgate-plugin-hello 1.0.0"
MODULE = "headgate_plugin_hello/__init__.py"
INFO = "headgate_plugin_hello-1.0.0.dist-info"
pytestmark = pytest.mark.timeout(240)  # the first one waits for pip


def pip(*arguments: str) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, *arguments], check=True, capture_output=True, timeout=200)


def copied(folder: Path) -> str:
    """The example's source: pip leaves a folder behind in what it builds."""
    return str(shutil.copytree(HELLO, folder / "source"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip("--target", str(folder), copied(tmp_path_factory.mktemp("hello")))
    return folder


@pytest.fixture
def site(installed: Path, tmp_path: Path) -> Path:
    """A copy for one test, to be tampered with."""
    return shutil.copytree(installed, tmp_path / "site")


def headgate(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headgate.proxy", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)


def pin_of(site: Path, name: str = "hello") -> str:
    """The guard that the command prints."""
    told = headgate("plugins", "pin", name, path=site)
    assert told.returncode == 0, told.stderr
    return told.stdout


def digest_of(site: Path) -> str:
    found = re.search(r"sha256: ([0-9a-f]{64})$", pin_of(site))
    assert found is not None
    return found[1]


def guard(**pins: str) -> str:
    return f"guards: {{hello: {{{', '.join(f'{key}: {value}' for key, value in pins.items())}}}}}\n"


def plant(site: Path, mark: Path) -> None:
    """Let the plugin leave a mark where it is imported."""
    with (site / MODULE).open("a") as file:
        file.write(f"\nopen({str(mark)!r}, 'w').close()\n")


def written(folder: Path, guards: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG + guards)
    return path


def test_what_the_command_prints_is_taken(site: Path, tmp_path: Path) -> None:
    path = written(tmp_path, pin_of(site))
    checked = headgate("check", str(path), path=site)
    assert (checked.returncode, checked.stderr) == (0, "")

    async def main() -> bytes:
        async with process(("serve", str(path)), path, is_fresh=True, PYTHONPATH=str(site)) as gate:
            return (await fetch(gate.port, "GET", "/hello/you")).body

    assert asyncio.run(main()) == b"Good morning, you!\n"


def test_to_tell_the_pin_imports_nothing(site: Path, tmp_path: Path) -> None:
    plant(site, tmp_path / "mark")
    pin_of(site)
    assert not (tmp_path / "mark").exists()
    assert headgate("plugins", "list", path=site).returncode == 0
    assert (tmp_path / "mark").exists()  # whoever looks for stages does


def test_the_files_behind_a_digest_can_be_looked_at(site: Path) -> None:
    told = headgate("plugins", "pin", "hello", "--files", path=site).stdout.splitlines()
    assert [line[66:] for line in told] == [
        f"{INFO}/METADATA",
        f"{INFO}/entry_points.txt",
        MODULE,
        "headgate_plugin_hello/py.typed",
    ]


def tampered(site: Path, mark: Path) -> None:
    plant(site, mark)


def with_a_file_missing(site: Path, mark: Path) -> None:
    (site / "headgate_plugin_hello" / "py.typed").unlink()


def of_another_entry(site: Path, mark: Path) -> None:
    entries = site / INFO / "entry_points.txt"
    entries.write_text(entries.read_text().replace("headgate_plugin_hello:Hello", "antigravity:Hello"))


SPOILT = [
    (tampered, f"{NAME} has the content "),
    (with_a_file_missing, f"{NAME} is not whole, `headgate_plugin_hello/py.typed` is missing"),
    (of_another_entry, "plugin `hello` lies in `antigravity`, which is no module of"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_what_is_not_as_pinned_is_refused_before_it_is_imported(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path, Path], None], message: str
) -> None:
    pinned = guard(sha256=digest_of(site))
    spoil(site, tmp_path / "mark")
    assert f"guards.hello.sha256: {message}" in refusal(site, written(tmp_path, pinned), monkeypatch)
    assert not (tmp_path / "mark").exists() and "headgate_plugin_hello" not in sys.modules


def refusal(site: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a process says of a configuration that it refuses. Here: so it can be seen what was imported."""
    with monkeypatch.context() as patched, pytest.raises(ConfigErrors) as caught:
        patched.syspath_prepend(str(site))
        load(path, PluginTypes().schemas())
    return str(caught.value)


def test_every_command_and_its_workers_hold_to_the_pins_of_a_configuration(site: Path, tmp_path: Path) -> None:
    path = written(tmp_path, pin_of(site))
    plant(site, tmp_path / "mark")
    for command in (["check"], ["serve"], ["serve", "--workers", "2"], ["plugins", "list"]):
        refused = headgate(*command, str(path), path=site)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"guards.hello.sha256: {NAME} has the content " in refused.stderr
    assert not (tmp_path / "mark").exists()


WRONG = [
    (guard(version='">=1.2,<2"'), "guards.hello.version: version 1.0.0 is installed, wanted >=1.2,<2"),
    (guard(version='">=one"'), 'guards.hello.version: got ">=one", wanted a version, or a range of versions, such as'),
    (guard(version="1.0"), "guards.hello.version: got 1.0, wanted a version, or a range of versions, such as"),
    (guard(sha256="abc"), 'guards.hello.sha256: got "abc", wanted a SHA-256 of 64 digits'),
    (guard(sha265="0" * 64), "guards.hello.sha265: unknown key, did you mean `sha256`?"),
    (guard(version='"1.0"').replace("hello", "helo"), 'guards.helo: unknown plugin "helo", did you mean `hello`?'),
    (guard(version='"1.0"') * 2, "the key is there already, wanted it once"),
]


@pytest.mark.parametrize(("guards", "message"), WRONG)
def test_a_pin_that_is_not_met_or_cannot_be_read_is_refused_before_any_import(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guards: str, message: str
) -> None:
    assert message in refusal(site, written(tmp_path, guards), monkeypatch)
    assert "headgate_plugin_hello" not in sys.modules


def test_one_plugin_that_is_not_as_pinned_keeps_all_from_being_imported(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another name the same code would run."""
    path = written(tmp_path, guard(version='">=2"').replace("hello", "again"))
    path.write_text(path.read_text().replace("plugins:\n", "plugins:\n  again: {use: hello}\n", 1))
    assert "guards.again.version: version 1.0.0 is installed" in refusal(site, path, monkeypatch)
    assert "headgate_plugin_hello" not in sys.modules


def test_a_range_that_is_met_is_taken(site: Path, tmp_path: Path) -> None:
    assert headgate("check", str(written(tmp_path, guard(version='">=0.9,<2"'))), path=site).returncode == 0


BUILT_IN = """\
listeners: [{address: "127.0.0.1:0"}]
clusters: {a: {endpoints: ["http://127.0.0.1:1"]}}
plugins: {headers: {}}
routes: [{match: {path: /}, targets: [a]}]
guards: {headers: {PIN}}
"""


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ('version: ">=0.1"', ""),
        ('version: ">=99"', "guards.headers.version: version 0."),
        (f"sha256: {'0' * 64}", "guards.headers.sha256: plugin `headers` is part of headgate, which cannot vouch for"),
    ],
)
def test_of_what_is_built_in_the_version_alone_is_pinned(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str, message: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(BUILT_IN.replace("PIN", pin))
    if message:
        assert message in refusal(site, path, monkeypatch)
    else:
        assert load(path, PluginTypes().schemas()).guards["headers"].version == ">=0.1"


def test_an_editable_installation_is_refused(tmp_path: Path) -> None:
    source = copied(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=60)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    pip("--prefix", str(tmp_path / "venv"), "-e", source)
    refused = headgate("plugins", "pin", "hello", path=site)
    assert refused.returncode == 2
    assert f"{NAME} is installed in editable mode, its files may change at any time" in refused.stderr


def test_a_reload_holds_to_pins_and_what_runs_goes_on(site: Path, tmp_path: Path) -> None:
    pin = pin_of(site)
    path = written(tmp_path, pin)

    async def main() -> None:
        async with process(("serve", str(path)), path, is_fresh=True, PYTHONPATH=str(site)) as gate:
            assert "reloaded: version 2" in await reloaded(gate, CONFIG + pin)
            assert "version 1.0.0 is in use until a restart, wanted >=2" in await reloaded(
                gate, CONFIG + guard(version='">=2"')
            )
            plant(site, tmp_path / "mark")
            assert f"{NAME} has the content {digest_of(site)}, wanted" in await reloaded(gate, CONFIG + pin)
            # What is installed now was pinned in time, but another is running.
            assert "imported before it was pinned so: restart the gateway" in await reloaded(
                gate, CONFIG + pin_of(site)
            )
            assert (await fetch(gate.port, "GET", "/hello/you")).body == b"Good morning, you!\n"
            (site / MODULE).write_bytes((HELLO / MODULE).read_bytes())
            assert "reloaded: version 3" in await reloaded(gate, CONFIG + pin)

    asyncio.run(main())
    assert not (tmp_path / "mark").exists()


def test_what_was_imported_without_a_pin_is_not_pinned_by_a_reload(site: Path, tmp_path: Path) -> None:
    path = written(tmp_path, "")

    async def main() -> None:
        async with process(("serve", str(path)), path, is_fresh=True, PYTHONPATH=str(site)) as gate:
            told = await reloaded(gate, CONFIG + pin_of(site))
            assert "imported before it was pinned so: restart the gateway" in told

    asyncio.run(main())


async def reloaded(gate: RunningGateway, text: str) -> str:
    """Reload another text; return what the gateway says of it."""
    seen = len(gate.complaints)
    gate.write(text)
    gate.signal(signal.SIGHUP)
    # A refusal is a line, and one for what is wrong.
    await gate.until(lambda: "reloaded" in "".join(gate.complaints[seen:]) or len(gate.complaints) >= seen + 2)
    return "\n".join(gate.complaints[seen:])
