"""The keys file: how it is read, and read again."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from headgate.plugins.api_key import ApiKey, digest, key_source, new_key
from headgate.plugins.api_key.keys_file import MAX_KEYS_FILE_BYTES
from headgate.proxy.config.problems import ConfigErrors
from headgate.proxy.verdicts import Identity

from .api_keys import PEPPER, entry, make_plugin
from .exchanges import make_exchange

OLD, NEW = new_key("test"), new_key("test")
LOGGER = "headgate.plugins.api_key"


def write(path: Path, *entries: dict[str, Any]) -> None:
    """Put the entries into the file as an editor does: a new file in place of the old one."""
    value = {"keys": list(entries)}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value) if path.suffix == ".json" else yaml.safe_dump(value))
    fresh.replace(path)


def gets_in(plugin: ApiKey, key: str) -> bool:
    return isinstance(plugin.headgate_auth(make_exchange(("x-api-key", key))), Identity)


@pytest.fixture(params=["keys.yaml", "keys.json"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / str(request.param)
    write(found, entry(OLD))
    return found


@pytest.fixture
def plugin(path: Path) -> Any:
    made = make_plugin(keys_file=path, poll_s=3600.0)
    yield made
    made.close()


def test_keys_of_the_file_and_of_the_configuration_both_count(path: Path) -> None:
    plugin = make_plugin(entry(NEW, id="inline"), keys_file=path, poll_s=3600.0)
    assert gets_in(plugin, OLD)
    assert gets_in(plugin, NEW)
    plugin.close()


def test_a_changed_file_is_read_again(plugin: ApiKey, path: Path) -> None:
    assert gets_in(plugin, OLD)
    write(path, entry(NEW))
    plugin._keys.poll()
    assert not gets_in(plugin, OLD)
    assert gets_in(plugin, NEW)


def test_the_first_request_sees_the_file_of_now(plugin: ApiKey, path: Path) -> None:
    write(path, entry(NEW))
    assert not gets_in(plugin, OLD)
    assert gets_in(plugin, NEW)


def test_a_change_that_leaves_size_and_time_is_seen(path: Path) -> None:
    plugin = make_plugin(keys_file=path, now=lambda: datetime.now(UTC) + timedelta(days=1))
    before = path.stat()
    path.write_text(path.read_text().replace(digest(OLD, PEPPER), digest(NEW, PEPPER)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    plugin._keys.poll()
    assert digest(NEW, PEPPER) in {key.hex() for key in plugin._keys.keyring}


@pytest.mark.parametrize(("age_s", "num_reads"), [(1, 3), (3, 0)])
def test_only_a_file_changed_just_now_is_read_again_unasked(
    path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, num_reads: int
) -> None:
    at = datetime.fromtimestamp(path.stat().st_ctime + age_s, UTC)
    plugin = make_plugin(keys_file=path, now=lambda: at)
    reads: list[Path] = []

    def read(path: Path) -> bytes:
        reads.append(path)
        return path.read_bytes()

    monkeypatch.setattr(key_source, "read_bytes", read)
    for _ in range(3):
        plugin._keys.poll()
    assert len(reads) == num_reads
    write(path, entry(NEW))
    plugin._keys.poll()
    assert len(reads) == num_reads + 1


BROKEN = [
    ("keys: [", "2:1: this is not YAML"),
    (
        "keys:\n  - id: a\n    tenant: t\n    digests: [{digest: 12}]\n",
        "4:24: keys[0].digests[0].digest: got something else",
    ),
    ("keys:\n  - id: a\n    tenant: t\n    digest: []\n", "4:5: keys[0].digest: unknown key, did you mean `digests`?"),
    ("keys:\n  - id: a\n    id: b\n", "3:5: "),
    ("", "1:1: the file is empty"),
    ("# nothing\n", "1:1: "),
    ("keys: null\n", "1:7: keys: got nothing"),
    ("[]", "1:1: "),
    ("key: []", "1:1: keys: missing"),
    ("keys: []\n\xff".encode("latin-1"), "2:1: expected UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_file_is_refused_at_the_start(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigErrors) as caught:
        make_plugin(keys_file=path)
    assert any(str(problem).startswith(f"{path}:{message}") for problem in caught.value.problems), str(caught.value)


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": [\n  {"id": "a",\n}]}')
    with pytest.raises(ConfigErrors, match=r"keys\.json:2:13: not JSON"):
        make_plugin(keys_file=path)
    path.write_text('{"keys": [\n {"id": "a b",\n "tenant": "t", "digests": []}]}')
    with pytest.raises(ConfigErrors, match=r"keys\.json:2:9: keys\[0\]\.id: got \"a b\""):
        make_plugin(keys_file=path)


def test_an_id_of_the_configuration_may_not_stand_in_the_file_too(path: Path) -> None:
    with pytest.raises(ValueError, match="the id `acme-1` stands twice"):
        make_plugin(entry(NEW), keys_file=path)


def test_a_file_of_unbounded_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.touch()
    os.truncate(path, MAX_KEYS_FILE_BYTES + 1)
    with pytest.raises(ConfigErrors, match="larger than 16777216 bytes"):
        make_plugin(keys_file=path)


def test_a_broken_file_leaves_the_keys_and_is_told_once(
    plugin: ApiKey, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert gets_in(plugin, OLD)
    with caplog.at_level(logging.INFO, LOGGER):
        path.write_text("{")
        for _ in range(3):
            plugin._keys.poll()
        path.unlink()
        for _ in range(3):
            plugin._keys.poll()
        assert gets_in(plugin, OLD)
        write(path, entry(OLD))
        plugin._keys.poll()
        path.unlink()
        plugin._keys.poll()
        write(path, entry(NEW))
        for _ in range(3):
            plugin._keys.poll()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4, messages
    assert re.match(rf"{re.escape(str(path))}:[12]:[12]: .*not (YAML|JSON)", messages[0])
    assert messages[0].endswith("the keys read before stay in force")
    assert messages[1].startswith(f"{path}: the keys file cannot be read (no such file or directory)")
    assert messages[2] == messages[1]  # it was well in between
    assert messages[3] == f"{path}: read again, 1 credentials in force"
    assert not gets_in(plugin, OLD)
    assert gets_in(plugin, NEW)


def test_a_second_entry_of_an_inline_key_leaves_the_keys(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plugin = make_plugin(entry(NEW, id="inline"), keys_file=path)
    write(path, entry(new_key("test"), id="inline"))
    with caplog.at_level(logging.ERROR, LOGGER):
        plugin._keys.poll()
    assert f"{path}: the id `inline` stands twice" in caplog.text
    assert len(plugin._keys.keyring) == 2


class Heard(logging.Handler):
    """Sets an event when a message with `text` is logged."""

    def __init__(self, text: str) -> None:
        super().__init__(logging.INFO)
        self._text = text
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self.event.set()


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "headgate-api-keys"]


def test_the_file_is_watched_while_no_request_comes(path: Path) -> None:
    before = watchers()
    plugin = make_plugin(keys_file=path, poll_s=0.01)
    assert watchers() == before  # none before the first request: a mere check of the configuration starts nothing
    heard, logger = Heard("read again"), logging.getLogger(LOGGER)
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    try:
        assert gets_in(plugin, OLD)
        write(path, entry(NEW))
        assert heard.event.wait(10)
        assert (gets_in(plugin, OLD), gets_in(plugin, NEW)) == (False, True)
        (watcher,) = set(watchers()) - set(before)
        plugin.close()
        watcher.join(10)
        assert not watcher.is_alive()
    finally:
        logger.removeHandler(heard)
        logger.setLevel(logging.NOTSET)
        plugin.close()


def test_a_failed_look_does_not_end_the_watch(path: Path) -> None:
    before = watchers()
    plugin = make_plugin(keys_file=path, poll_s=0.01)
    heard, again, logger = Heard("trying again"), Heard("read again"), logging.getLogger(LOGGER)
    logger.addHandler(heard)
    logger.addHandler(again)
    logger.setLevel(logging.INFO)
    try:
        assert gets_in(plugin, OLD)
        good, plugin._keys._inline = plugin._keys._inline, None  # type: ignore[assignment]
        write(path, entry(NEW))
        assert heard.event.wait(10)
        plugin._keys._inline = good
        assert again.event.wait(10)
        assert gets_in(plugin, NEW)
    finally:
        logger.removeHandler(heard)
        logger.removeHandler(again)
        logger.setLevel(logging.NOTSET)
        plugin.close()
        for watcher in set(watchers()) - set(before):
            watcher.join(10)  # what it still logs would be heard by the next test
