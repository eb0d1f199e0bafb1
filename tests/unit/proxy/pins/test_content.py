"""What a distribution holds is read from the disk, and what cannot be said to be it is refused."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.proxy.pins.content import content_of
from headgate.proxy.plugin_error import PluginError

from .installs import FILES, INFO, METADATA, POINTS, found, install, write_record


def test_the_files_are_those_of_the_distribution_that_the_gateway_reads(tmp_path: Path) -> None:
    content = content_of(install(tmp_path))
    read = {**FILES, f"{INFO}/METADATA": METADATA, f"{INFO}/entry_points.txt": POINTS}
    assert content.files == {path: hashlib.sha256(data).hexdigest() for path, data in read.items()}
    assert content.name == "greeting 1.2"


def test_the_digest_is_what_sha256sum_makes_of_it(tmp_path: Path) -> None:
    content = content_of(install(tmp_path))
    told = subprocess.run(
        ["sha256sum", *sorted(content.files)], cwd=tmp_path, env={"LC_ALL": "C"}, capture_output=True, check=True
    ).stdout
    assert told.decode() == content.listing
    assert content.digest == hashlib.sha256(told).hexdigest()


def test_another_folder_or_installer_makes_no_difference(tmp_path: Path) -> None:
    one = content_of(install(tmp_path / "one"))
    other = install(tmp_path / "other", INSTALLER=b"uv\n", REQUESTED=b"")
    (tmp_path / "other" / INFO / "direct_url.json").write_text('{"url": "file:///elsewhere", "dir_info": {}}')
    (tmp_path / "other" / "greeting" / "__pycache__").mkdir()
    (tmp_path / "other" / "greeting" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"anything")
    assert content_of(other).digest == one.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    path=st.sampled_from([*FILES, f"{INFO}/METADATA", f"{INFO}/entry_points.txt"]),
    more=st.binary(min_size=1, max_size=9),
)
def test_any_other_byte_is_another_content(tmp_path: Path, path: str, more: bytes) -> None:
    before = content_of(install(tmp_path)).digest
    with (tmp_path / path).open("ab") as file:
        file.write(more)
    try:
        after = content_of(found(tmp_path)).digest
    except PluginError as error:
        assert "cannot be read" in str(error)
    else:
        assert after != before


def test_what_the_record_claims_is_not_believed(tmp_path: Path) -> None:
    before = content_of(install(tmp_path))
    (tmp_path / "greeting" / "__init__.py").write_bytes(b"WORD = 'bye'\n")
    assert content_of(found(tmp_path)).digest != before.digest  # though RECORD says what it did
    write_record(tmp_path, [f"{path},sha256=lies,1" for path in before.files])
    (tmp_path / "greeting" / "__init__.py").write_bytes(FILES["greeting/__init__.py"])
    assert content_of(found(tmp_path)).digest == before.digest


def is_missing(base: Path) -> None:
    (base / "greeting" / "words.txt").unlink()


def is_stray(path: str) -> Callable[[Path], None]:
    def lay(base: Path) -> None:
        (base / path).parent.mkdir(exist_ok=True)
        (base / path).write_bytes(b"")

    return lay


def has_no_record(base: Path) -> None:
    (base / INFO / "RECORD").unlink()


def is_editable(base: Path) -> None:
    (base / INFO / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')


def has_a_pth(base: Path) -> None:
    (base / "greeting.pth").write_bytes(b"/src\n")
    write_record(base, [*(f"{path},," for path in FILES), "greeting.pth,,"])


REFUSED = [
    (is_missing, "greeting 1.2 is not whole, `greeting/words.txt` is missing: install it anew"),
    (is_stray("greeting/evil.py"), "greeting 1.2 has `greeting/evil.py` beside its files"),
    (is_stray("greeting/words/__init__.py"), "greeting 1.2 has `greeting/words` beside its files"),
    (is_stray("greeting/__init__.cpython-311-x86_64-linux-gnu.so"), "has `greeting/__init__.cpython"),
    (has_no_record, "greeting 1.2 has no list of its files: install it from a wheel"),
    (is_editable, "greeting 1.2 is installed in editable mode"),
    (has_a_pth, "greeting 1.2 has `greeting.pth`, by which Python finds modules elsewhere"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED)
def test_what_is_not_sure_is_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    install(tmp_path)
    spoil(tmp_path)
    with pytest.raises(PluginError, match=message):
        content_of(found(tmp_path))


@pytest.mark.parametrize(
    ("path", "is_refused"), [("greeting/__init__.py", True), ("greeting.so", True), ("other.py", False)]
)
def test_beside_a_module_that_is_one_file_only_what_hides_it_is_refused(
    tmp_path: Path, path: str, is_refused: bool
) -> None:
    install(tmp_path, {"greeting.py": b""})
    is_stray(path)(tmp_path)
    if is_refused:
        with pytest.raises(PluginError, match="beside its files"):
            content_of(found(tmp_path))
    else:
        assert "greeting.py" in content_of(found(tmp_path)).files


def test_a_folder_that_is_in_common_with_others_is_not_its_own(tmp_path: Path) -> None:
    distribution = install(tmp_path, {"shared/greeting/__init__.py": b""})
    is_stray("shared/other.py")(tmp_path)
    content = content_of(distribution)
    assert [content.owns(name) for name in ("shared", "shared.other", "shared.greeting", "shared.greeting.words")] == [
        False,
        False,
        True,
        True,
    ]
