"""Every feature and every error, as pairs of files: what is written, and what comes of it.

`HEADGATE_WRITE_GOLDENS=1` writes the second file of each pair anew, for a person to read through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from headgate.proxy.config.dump import dump
from headgate.proxy.config.load import load
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import ConfigErrors

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.yaml"))
BROKEN = [file for file in FILES if file.name.startswith(("broken-", "yaml-"))]
ENVIRON = {
    "FAR_TOKEN": "far-secret",
    "ADMIN_TOKEN": "admin-secret",
    "PEPPER": "pepper-secret",
    "EMPTY": "",
    "TWO_LINES": "one\ntwo",
}
SECRETS = ("far-secret", "admin-secret", "pepper-secret", "from-a-file", "sk-live", "hunter2", "battery", "12345")


def _outcome(file: Path, schemas: Mapping[str, PluginSchema]) -> tuple[str, str]:
    """Return the ending of the second file and its content; the directory is written as `$DIR`."""
    try:
        text = json.dumps(dump(load(file, schemas, ENVIRON)), indent=1, ensure_ascii=False)
        ending = ".json"
    except ConfigErrors as errors:
        ending, text = ".err", str(errors)
    return ending, text.replace(f"{GOLDEN}/{file.name}", file.name).replace(str(GOLDEN), "$DIR") + "\n"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_gives_what_its_golden_says(file: Path, schemas: Mapping[str, PluginSchema]) -> None:
    ending, text = _outcome(file, schemas)
    if os.environ.get("HEADGATE_WRITE_GOLDENS"):
        file.with_suffix(ending).write_text(text)
    assert file.with_suffix(ending).read_text() == text
    assert ending == (".err" if file in BROKEN else ".json")
    assert not any(secret in text for secret in SECRETS)


def test_every_golden_has_its_input() -> None:
    assert {file.stem for file in FILES} == {file.stem for file in GOLDEN.glob("*.json")} | {
        file.stem for file in GOLDEN.glob("*.err")
    }


@pytest.mark.parametrize(
    "file", [file for file in FILES if not file.name.startswith("yaml-")], ids=lambda file: file.stem
)
def test_both_parsers_of_yaml_give_the_same(
    file: Path, schemas: Mapping[str, PluginSchema], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.proxy.config.document._LOADER", yaml.SafeLoader)  # where libyaml is not built in
    ending, text = _outcome(file, schemas)
    assert file.with_suffix(ending).read_text() == text


def test_broken_files_say_everything_at_once(schemas: Mapping[str, PluginSchema]) -> None:
    files = [file for file in FILES if file.name.startswith("broken-")]
    assert len(files) >= 12
    for file in files:
        with pytest.raises(ConfigErrors) as caught:
            load(file, schemas, ENVIRON)
        problems = caught.value.problems
        lines = file.read_text().splitlines()
        assert len(problems) >= 5, file.name
        for problem in problems:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
