"""Plugins of others: installed by pip they take part; wrong ones are refused with file and line."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ...http_client import Answer, fetch
from ...running import gateway

HELLO = Path(__file__).parents[3] / "examples" / "headgate-plugin-hello"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "hello"
    subprocess.run(["cp", "-r", str(HELLO), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(folder), str(source)], check=True, capture_output=True)
    return folder


def test_an_installed_plugin_answers_and_signs(installed: Path) -> None:
    config = (HELLO / "gateway.yaml").read_text().replace("127.0.0.1:8080", "127.0.0.1:0")

    async def main() -> list[Answer]:
        async with gateway(config, PYTHONPATH=str(installed)) as gate:
            paths = ("/hello/you", "/hello/you/loud", "/nothing")
            return [await fetch(gate.port, "GET", path) for path in paths]

    quiet, loud, missing = asyncio.run(main())
    assert (quiet.status, quiet.body) == (200, b"Good morning, you!\n")
    assert (loud.status, loud.body) == (200, b"GOOD MORNING, YOU!\n")
    assert quiet.field("x-greeted-by") == "headgate-plugin-hello"
    assert missing.status == 404


def test_the_command_line_lists_it(installed: Path) -> None:
    listed = headgate("plugins", path=installed)
    assert listed.returncode == 0
    assert "headgate-plugin-hello 1.0.0" in listed.stdout


def headgate(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-m", "headgate.proxy", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)


def make_plugin(folder: Path, body: str) -> None:
    """Lay a distribution with one plugin, `wrong`, into a folder."""
    (folder / "wrong_plugin.py").write_text(
        "from headgate.proxy.hookspecs import hookimpl\n"
        "from headgate.proxy.verdicts import Identity\n"
        f"class Wrong:\n{body}"
    )
    info = folder / "wrong_plugin-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong-plugin\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text("[headgate.plugins]\nwrong = wrong_plugin:Wrong\n")


WRONG = {
    "an unknown hook": (
        "    @hookimpl\n    def headgate_aut(self, exchange): pass\n",
        4,
        "no such hook; did you mean `headgate_auth`?",
    ),
    "wrong arguments": (
        "    @hookimpl\n    def headgate_auth(self, request): pass\n",
        4,
        "expected the arguments (self, exchange), got (self, request)",
    ),
    "a wrong return type": (
        "    @hookimpl\n    def headgate_ratelimit(self, exchange) -> Identity: pass\n",
        4,
        "expected the return type Reject | Reservation | None, got Identity",
    ),
    "a coroutine where none can be": (
        "    @hookimpl\n    async def headgate_event(self, exchange, event): pass\n",
        4,
        "expected `def`, got `async def`",
    ),
    "a missing mark": (
        "    def headgate_auth(self, exchange): pass\n",
        4,
        "expected the mark `@hookimpl`",
    ),
    "no hook at all": ("    pass\n", 3, "expected at least one method marked with `hookimpl`"),
    "a constructor that fails": (
        "    def __init__(self): {}['key']\n    @hookimpl\n    def headgate_auth(self, exchange): pass\n",
        4,
        "could not be made: KeyError: 'key' (at ",
    ),
    "a constructor that takes no settings": (
        "    import pydantic\n    class Config(pydantic.BaseModel): pass\n    def __init__(self): pass\n"
        "    @hookimpl\n    def headgate_auth(self, exchange): pass\n",
        3,
        "expected to be made as `Wrong(config)`, for its `Config`, got `Wrong()`",
    ),
    "a constructor that wants settings": (
        "    def __init__(self, config): pass\n    @hookimpl\n    def headgate_auth(self, exchange): pass\n",
        3,
        "expected to be made as `Wrong()`, as it has no `Config`, got `Wrong(config)`",
    ),
    "a set-up hook that fails": (
        "    @hookimpl\n    def headgate_configure(self, setup):\n        setup.nothing\n",
        6,
        "refused its configuration: AttributeError: 'Setup' object has no attribute 'nothing' (at ",
    ),
    "a set-up hook that refuses": (
        "    @hookimpl\n    def headgate_configure(self, setup):\n        raise ValueError('no model is configured')\n",
        6,
        "refused its configuration: no model is configured (at ",
    ),
    "a metric whose name is taken": (
        "    @hookimpl\n    def headgate_metrics(self, registry):\n"
        "        from headgate.proxy.observe.metrics import Counter\n"
        "        registry.register(Counter('headgate_requests', 'Mine.'))\n",
        7,
        "refused its configuration: metric headgate_requests: registered before as counter",
    ),
    "an end that would have to be waited for": (
        "    @hookimpl\n    def headgate_auth(self, exchange): pass\n    async def close(self): pass\n",
        6,
        "`close`: expected `def`, got `async def`",
    ),
    "settings that are no model": (
        "    Config = dict\n    @hookimpl\n    def headgate_auth(self, exchange): pass\n",
        3,
        "expected `Config` to be a pydantic model",
    ),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_plugin_is_refused_with_its_version_file_and_line(tmp_path: Path, name: str) -> None:
    body, line, message = WRONG[name]
    make_plugin(tmp_path, body)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\n"
        "clusters: {a: {endpoints: ['http://127.0.0.1:1']}}\n"
        "routes: [{match: {path: '/{*rest}'}, targets: [a]}]\n"
        "plugins: {wrong: {}}\n"
    )
    for arguments in (("check", str(config)), ("serve", str(config))):
        refused = headgate(*arguments, path=tmp_path)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
        assert "wrong-plugin 3.1" in refused.stderr
        assert f"wrong_plugin.py:{line}" in refused.stderr
        assert message in refused.stderr


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("import json\njson.loads('{nope')\n", "wrong_plugin.py:2", "Expecting property name"),
        ("class Wrong:\n    def x(:\n", "wrong_plugin.py:2", "SyntaxError: invalid syntax"),
        ("import no_such_module\n", "wrong_plugin.py:1", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('bye')\n", "wrong_plugin.py:1", "SystemExit: bye"),
        ("class Wrung: pass\n", "wrong_plugin:Wrong", "AttributeError: module 'wrong_plugin' has no attribute 'Wrong'"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_refused_with_the_place(
    tmp_path: Path, text: str, place: str, message: str
) -> None:
    make_plugin(tmp_path, "    pass\n")
    (tmp_path / "wrong_plugin.py").write_text(text)
    listed = headgate("plugins", path=tmp_path)
    assert listed.returncode == 1
    assert "Traceback" not in listed.stderr
    for part in ("plugin `wrong` (wrong-plugin 3.1): expected `wrong_plugin:Wrong` to import, got ", place, message):
        assert part in listed.stderr


def hide(folder: Path, module: str) -> None:
    """Lay a module into a folder that stands before the installed one, and is not there."""
    (folder / f"{module}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')")


def test_a_plugin_whose_extra_is_not_installed_is_listed_with_what_to_install(tmp_path: Path) -> None:
    for module in ("jwt", "re2"):
        hide(tmp_path, module)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\n"
        "clusters: {a: {endpoints: ['http://127.0.0.1:1']}}\n"
        "routes: [{match: {path: '/{*rest}'}, targets: [a]}]\n"
    )
    for arguments in (("plugins",), ("plugins", "list", str(config))):
        listed = headgate(*arguments, path=tmp_path)
        assert (listed.returncode, listed.stderr) == (0, "")
        lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
        assert lines["jwt"].endswith("not installed: pip install 'headgate[jwt]'")
        assert lines["prompt_guard"].endswith("not installed: pip install 'headgate[guard]'")
    config.write_text(config.read_text() + "plugins: {jwt: {}}\n")
    named = headgate("plugins", "list", str(config), path=tmp_path)
    assert named.returncode == 2
    assert "pip install 'headgate[jwt]'" in named.stderr


def test_the_columns_of_the_list_stand_below_each_other(installed: Path) -> None:
    listed = headgate("plugins", "list", str(HELLO / "gateway.yaml"), path=installed)
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert len(lines) > 10
    for column in (r"headgate\S* \d", r"\b(hello: |not used)"):
        assert len({found.start() for line in lines.values() if (found := re.search(column, line))}) == 1
    stages = {"cache": "cache, response_head", "hello": "aggregate, response_head", "quota": "ratelimit"}
    assert len({lines[name].rindex(text) for name, text in stages.items()}) == 1


def test_a_wrong_plugin_that_nobody_uses_does_no_harm(tmp_path: Path) -> None:
    make_plugin(tmp_path, "    @hookimpl\n    def headgate_nonsense(self): pass\n")
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listeners: [{address: '127.0.0.1:0'}]\n"
        "clusters: {a: {endpoints: ['http://127.0.0.1:1']}}\n"
        "routes: [{match: {path: '/{*rest}'}, targets: [a]}]\n"
    )
    assert headgate("check", str(config), path=tmp_path).returncode == 0
