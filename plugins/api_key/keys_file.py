"""A file of keys, in YAML or JSON."""

from __future__ import annotations

from pathlib import Path

import orjson
from pydantic import ValidationError

from ...proxy.config.complaints import complain
from ...proxy.config.document import Document, parse_document
from ...proxy.config.problems import ConfigErrors, ConfigProblem
from .key_entry import KeyEntries, KeyEntry

MAX_KEYS_FILE_BYTES = 16 << 20


def read_bytes(path: Path) -> bytes:
    """Return what the file holds. Raises: ConfigErrors where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEYS_FILE_BYTES + 1)
    except OSError as error:
        reason = str(error.strerror).lower()
        raise _one(path, f"the keys file cannot be read ({reason}), wanted a readable file") from None
    if len(data) > MAX_KEYS_FILE_BYTES:
        raise _one(path, f"the keys file is larger than {MAX_KEYS_FILE_BYTES} bytes, wanted a smaller one")
    return data


def parse_keys(data: bytes, path: Path) -> tuple[KeyEntry, ...]:
    """Return the keys in `data`. Raises: ConfigErrors with every problem and its line.

    Cost: JSON (by the file's name) is read several times faster than YAML.
    """
    if path.suffix == ".json":
        return _parse_json(data, path)
    document = _document(data, path)
    if document.problems:
        raise ConfigErrors(document.problems)
    return _validate(document.root.data, document)


def _parse_json(data: bytes, path: Path) -> tuple[KeyEntry, ...]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigErrors(
            [ConfigProblem(str(path), error.lineno, error.colno, "", f"not JSON: {error.msg}")]
        ) from None
    try:
        return KeyEntries.model_validate(value).keys
    except ValidationError:
        return _validate(value, _document(data, path))  # JSON is YAML as well: read it again, for the positions


def _validate(value: object, document: Document) -> tuple[KeyEntry, ...]:
    try:
        return KeyEntries.model_validate(value).keys
    except ValidationError as error:
        raise ConfigErrors(complain(document, KeyEntries, error)) from None


def _document(data: bytes, path: Path) -> Document:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigErrors([ConfigProblem(str(path), line, 1, "", "expected UTF-8")]) from None
    if not text.strip():
        raise _one(path, "the file is empty, wanted a mapping with `keys`")
    return parse_document(text, str(path))


def _one(path: Path, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigProblem(str(path), 1, 1, "", message)])
