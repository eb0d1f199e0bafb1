"""What is held to its pins, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .installs import install

# Pins what is installed, changes it, and imports it, as the pins are that were looked at last.
PROGRAM = """
import sys
from importlib import import_module
from pathlib import Path
from headgate.proxy.config.plugin_schema import Pin
from headgate.proxy.plugin_types import PluginTypes
types = PluginTypes()
pin = Pin("greeting", "1.2", types.pins.content("greeting").digest)
print(list(types.unmet({"a": pin})))
IMPORTED
(Path(sys.argv[1]) / "greeting" / "__init__.py").write_text("WORD = 'bye'")
print([key for _, key, _ in types.unmet(PINS)])
try:
    print(import_module("greeting").WORD)
except ImportError as error:
    print("refused")
print([key for _, key, _ in types.unmet(PINS)])
"""


def told(base: Path, pins: str, imported: str = "") -> list[str]:
    install(base)
    program = PROGRAM.replace("PINS", pins).replace("IMPORTED", imported)
    environment = {**os.environ, "PYTHONPATH": str(base)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(base)], env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_is_pinned_no_more_is_as_free_as_any_other(tmp_path: Path) -> None:
    assert told(tmp_path, "{}") == ["[]", "[]", "bye", "[]"]


def test_what_was_imported_as_it_was_pinned_goes_on(tmp_path: Path) -> None:
    imported = 'import_module("greeting")'
    assert told(tmp_path, "{}", imported) == ["[]", "[]", "hello", "[]"]


def test_what_has_changed_is_refused_before_and_after_it_is_imported(tmp_path: Path) -> None:
    assert told(tmp_path, '{"a": pin}') == ["[]", "['sha256']", "refused", "['sha256']"]
    imported = 'import_module("greeting")'
    assert told(tmp_path, '{"a": pin}', imported) == ["[]", "['sha256']", "hello", "['sha256']"]


def test_what_was_imported_before_it_was_pinned_so_is_refused(tmp_path: Path) -> None:
    fresh = '{"a": Pin("greeting", None, types.pins.content("greeting").digest)}'
    assert told(tmp_path, fresh, 'import_module("greeting")') == ["[]", "['sha256']", "hello", "['sha256']"]
