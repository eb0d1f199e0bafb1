"""What a plain install holds. Run by `.ci/wheel` in an environment with the wheel and without torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path, PurePosixPath

import pytest

from headgate.ext import route_table

DISTRIBUTION = distribution("headgate")
FILES = [PurePosixPath(path) for path in DISTRIBUTION.files or () if "__pycache__" not in path.parts]
FOLDERS = {"demo", "ext", "inference", "plugins", "proxy"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_it_is_installed_and_not_a_link_to_a_checkout() -> None:
    assert Path(str(DISTRIBUTION.locate_file("headgate/proxy/__init__.py"))).is_file()


def test_it_holds_our_folders_and_nothing_else() -> None:
    packaged = [path for path in FILES if path.parts[0] == "headgate"]
    others = {path.parts[0] for path in FILES if path not in packaged}
    assert {path.parts[1] for path in packaged} == FOLDERS
    assert all(name.endswith(".dist-info") or name == ".." for name in others), others  # `..` leads to the scripts


def test_it_holds_no_source_of_c_and_no_tests() -> None:
    wrong = {".c", ".cpp", ".o", ".html", ".sh", ".toml", ".md"}
    assert not [path for path in FILES if path.parts[0] == "headgate" and path.suffix in wrong]
    assert not [path for path in FILES if "tests" in path.parts or path.name in ("setup.py", "conftest.py")]


def test_the_compiled_route_table_is_in_it_and_in_use() -> None:
    assert [path for path in FILES if path.name.startswith("_route_table_c.") and path.suffix == ".so"]
    assert route_table.RouteTable.__module__ == "headgate.ext._route_table_c"


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_folder_is_typed(folder: str) -> None:
    assert PurePosixPath("headgate", folder, "py.typed") in FILES


def test_the_demo_comes_with_its_configuration_and_models() -> None:
    held = {str(path.relative_to("headgate/demo")) for path in FILES if path.is_relative_to("headgate/demo")}
    wanted = {f"models/{model}/{name}" for model in ("heavy", "lite") for name in ("config.json", "model.safetensors")}
    assert {"demo.yaml", "corpus.jsonl"} | wanted <= held


def test_it_brings_no_torch() -> None:
    plain = [line for line in DISTRIBUTION.requires or () if "extra ==" not in line]
    assert not [line for line in plain if line.startswith(("torch", "numpy", "tokenizers", "safetensors"))]
    assert importlib.util.find_spec("torch") is None


@pytest.mark.parametrize("name", ["headgate", "headgate-inference"])
def test_the_commands_answer(name: str) -> None:
    done = run(script(name), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    done = run(script("headgate-inference"), "serve", str(tmp_path))
    assert done.returncode != 0
    assert "pip install 'headgate[inference]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_configuration_is_checked_with_every_built_in_plugin_found(tmp_path: Path) -> None:
    done = run(script("headgate"), "plugins")
    assert done.returncode == 0
    names = {line.split()[0] for line in done.stdout.splitlines()}
    offered = entry_points(group="headgate.plugins")
    assert names == {point.name for point in offered if point.dist is not None and point.dist.name == "headgate"}
    assert {"api_key", "rate_limit", "cache", "quota", "jwt"} <= names
