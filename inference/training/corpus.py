"""The questions and answers a demo model is trained on: one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson


class CorpusError(Exception):
    """A corpus that cannot be used; the message has one `file:line: problem` for each bad line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer with the ways to ask for it. `held_out` phrasings are never trained on: they measure the result."""

    id: str
    questions: tuple[str, ...]
    answer: str
    held_out: tuple[str, ...] = ()


def read_corpus(path: Path) -> tuple[Entry, ...]:
    """Read every entry of the file.

    Raises: CorpusError, with every bad line at once.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None
    entries: list[Entry] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _parse_entry(line)
            _note_names(entry, number, seen)
            entries.append(entry)
        except CorpusError as problem:
            problems.append(f"{path}:{number}: {problem}")
    if not entries and not problems:
        problems.append(f"{path}: expected at least one entry, found none")
    if problems:
        raise CorpusError("\n".join(problems))
    return tuple(entries)


def _parse_entry(line: bytes) -> Entry:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CorpusError(f"not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise CorpusError(f"expected a JSON object, got {type(data).__name__}")
    unknown = sorted(data.keys() - {"id", "questions", "answer", "held_out"})
    if unknown:
        raise CorpusError(f"expected id, questions, answer and perhaps held_out, got also {', '.join(unknown)}")
    return Entry(
        id=_text(data, "id"),
        questions=_texts(data, "questions"),
        answer=_text(data, "answer"),
        held_out=_texts(data, "held_out") if "held_out" in data else (),
    )


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise CorpusError(f"{name}: expected a text that is not empty, got {_shown(value)}")
    return value.strip()


def _texts(data: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not isinstance(value, list) or not value:
        raise CorpusError(f"{name}: expected a list of at least one text, got {_shown(value)}")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            raise CorpusError(f"{name}: expected texts that are not empty, got {_shown(item)}")
    return tuple(item.strip() for item in value)


def _note_names(entry: Entry, number: int, seen: dict[str, int]) -> None:
    """Refuse an id or a question (whatever its case) that an earlier line has: two answers could not both be right."""
    for name in (f"id {entry.id}", *(f"question {text.lower()!r}" for text in entry.questions + entry.held_out)):
        if name in seen:
            raise CorpusError(f"{name}: expected once, but line {seen[name]} has it too")
        seen[name] = number


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else text[:37] + "..."
