"""YAML with the position of every value.

The subset is what configurations need: one document, text keys, plain data. Scalars follow the core schema of YAML 1.2,
so that `on` and `off` are text and `12:30` is no number. Anchors, aliases and merge keys work; what they unfold to is
bounded, as are depth and size. No object is ever made from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from .problems import MAX_PROBLEMS, ConfigErrors, ConfigProblem
from .wording import path_text

MAX_DEPTH = 32
MAX_NODES = 200_000  # after aliases are unfolded
Mark = tuple[int, int]  # line and column, from 1


@dataclass(slots=True)
class Node:
    """One value: `data` is it as plain Python, `children` its parts by key or place, `keys` where its keys stand."""

    mark: Mark
    data: Any = None
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, Mark] = field(default_factory=dict)
    num_nodes: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. `problems` are faults that do not stop it from being read on."""

    file: str
    root: Node
    problems: tuple[ConfigProblem, ...] = ()
    has_nulls: bool = True

    def locate(self, path: Sequence[str | int], *, is_key: bool = False) -> tuple[Mark, tuple[str | int, ...]]:
        """Return where the value at `path` stands (or its key), and the part of `path` that the file spells out.

        Steps that the file leaves out, such as the list around a single target, are passed over.
        """
        node, found = self.root, []
        mark = node.mark
        for step in path:
            child = node.children.get(step)
            if child is None:
                continue
            found.append(step)
            mark = node.keys[step] if is_key and isinstance(step, str) else child.mark
            node = child
        return mark, tuple(found)

    def nulls(self) -> Iterator[tuple[str | int, ...]]:
        """Yield the path of every value that is not there. Cost: O(nodes)."""
        stack: list[tuple[tuple[str | int, ...], Node]] = [((), self.root)] if self.has_nulls else []
        while stack:
            path, node = stack.pop()
            if node.data is None:
                yield path
            stack.extend(((*path, step), child) for step, child in node.children.items())


def parse_document(text: str, file: str) -> Document:
    """Parse YAML. Raises: ConfigErrors where it cannot be read at all."""
    builder = _Builder(file)
    text = text.removeprefix("\ufeff")
    _refuse_unprintable(text, file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise ConfigErrors([*builder.problems, _syntax_problem(error, text, file)]) from None
    except _Unreadable as stop:
        raise ConfigErrors([*builder.problems, ConfigProblem(file, *stop.mark, "", stop.message)]) from None
    if builder.root is None or builder.root.data is None:
        message = "the file is empty, wanted a mapping with `listeners`, `clusters` and `routes`"
        raise ConfigErrors([ConfigProblem(file, 1, 1, "", message)])
    return Document(file, builder.root, tuple(builder.problems), builder.has_nulls)


# libyaml's parser where PyYAML was built with it: the same events, many times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2.2 §5.1
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,2})?")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MERGE = "<<"
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:str")
_NO_TAGS = "wanted plain data without tags"


class _Unreadable(Exception):
    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        self.message = message


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended. In a mapping `key` waits for its value; `merged` hold what `<<` names."""

    node: Node
    is_mapping: bool
    anchor: str | None
    key: str | None = None
    key_mark: Mark = (1, 1)
    merged: list[Node] = field(default_factory=list)


class _Builder:
    """Puts events together, without recursion."""

    def __init__(self, file: str) -> None:
        self.problems: list[ConfigProblem] = []
        self.root: Node | None = None
        self._file = file
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._num_documents = 0
        self.has_nulls = False

    def take(self, event: Any) -> None:
        """Take the next event. Raises: _Unreadable."""
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event, mark)
        elif kind is yaml.AliasEvent:
            self._alias(event.anchor, mark)
        elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
            self._open(event, mark, kind is yaml.MappingStartEvent)
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self._close()
        elif kind is yaml.DocumentStartEvent:
            self._num_documents += 1
            if self._num_documents > 1:
                raise _Unreadable(mark, "a second document begins here, wanted one document in the file")

    def _scalar(self, event: Any, mark: Mark) -> None:
        if event.tag not in _PLAIN_TAGS:
            raise _Unreadable(mark, f"got the tag `{event.tag[:60]}`, {_NO_TAGS}")
        is_plain = bool(event.implicit[0])
        if self._awaits_key():
            self._key(event.value, is_plain, mark)
            return
        value = _plain_value(event.value) if is_plain else event.value
        self.has_nulls = self.has_nulls or value is None
        self._add(Node(mark, value), event.anchor)

    def _key(self, key: str, is_plain: bool, mark: Mark) -> None:
        if is_plain and not key:
            raise _Unreadable(mark, "a key is missing here, wanted text before the colon")
        self._stack[-1].key = key
        self._stack[-1].key_mark = mark

    def _alias(self, name: str, mark: Mark) -> None:
        if name not in self._anchors:
            raise _Unreadable(
                mark, f"the alias `*{name[:60]}` has no anchor before it, wanted `&{name[:60]}` at a value"
            )
        target = self._anchors[name]
        if target is None:
            raise _Unreadable(mark, f"the alias `*{name[:60]}` stands inside its own anchor, wanted it outside")
        if self._awaits_key():
            raise _Unreadable(mark, "an alias stands as a key, wanted text")
        # The same data at another place: what is wrong with the value itself is said where it is used.
        self._add(Node(mark, target.data, target.children, target.keys, target.num_nodes), None)

    def _open(self, event: Any, mark: Mark, is_mapping: bool) -> None:
        if event.tag not in (None, "!"):
            raise _Unreadable(mark, f"got the tag `{event.tag[:60]}`, {_NO_TAGS}")
        if self._awaits_key():
            raise _Unreadable(mark, "a list or mapping stands as a key, wanted text")
        if len(self._stack) >= MAX_DEPTH:
            raise _Unreadable(mark, f"values are nested deeper than {MAX_DEPTH} levels, wanted a flatter file")
        self._stack.append(_Open(Node(mark, {} if is_mapping else []), is_mapping, event.anchor))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _close(self) -> None:
        done = self._stack.pop()
        for node in done.merged:
            _merge(done.node, node)
        self._add(done.node, done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        parent.node.num_nodes += node.num_nodes
        if parent.node.num_nodes > MAX_NODES:
            raise _Unreadable(
                node.mark, f"the file unfolds to more than {MAX_NODES} values, wanted fewer aliases or values"
            )
        if parent.is_mapping:
            self._add_pair(parent, node)
        else:
            parent.node.children[len(parent.node.data)] = node
            parent.node.data.append(node.data)

    def _add_pair(self, parent: _Open, node: Node) -> None:
        key = parent.key or ""
        if key == _MERGE:
            parent.merged.extend(self._mappings_of(node))
        elif key in parent.node.data:
            first = parent.node.keys[key]
            self._note(parent.key_mark, f"the key is there already, wanted it once: it stands in line {first[0]}")
        else:
            parent.node.data[key] = node.data
            parent.node.children[key] = node
            parent.node.keys[key] = parent.key_mark
        parent.key = None

    def _mappings_of(self, node: Node) -> list[Node]:
        nodes = list(node.children.values()) if isinstance(node.data, list) else [node]
        if all(isinstance(part.data, dict) for part in nodes):
            return nodes
        self._note(node.mark, "got no mapping behind `<<`, wanted an alias of a mapping, or a list of them")
        return []

    def _note(self, mark: Mark, message: str) -> None:
        path = [str(opened.key) if opened.is_mapping else len(opened.node.data) for opened in self._stack]
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(ConfigProblem(self._file, *mark, path_text(path), message))

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_mapping and self._stack[-1].key is None


def _merge(node: Node, other: Node) -> None:
    for key in other.data:
        if key not in node.data:
            node.data[key] = other.data[key]
            node.children[key] = other.children[key]
            node.keys[key] = other.keys[key]
    # Each part was counted where it stands already; what is counted twice errs on the safe side.


def _plain_value(text: str) -> str | int | float | bool | None:
    """Resolve a plain scalar. Source: YAML 1.2.2 §10.3.2; numbers too long to be meant as such stay text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    return text


def _refuse_unprintable(text: str, file: str) -> None:
    found = _UNPRINTABLE.search(text)
    if found is None:
        return
    line, column = line_and_column(text, found.start())
    message = f"got the character U+{ord(found[0]):04X}, wanted printable text"
    raise ConfigErrors([ConfigProblem(file, line, column, "", message)])


def line_and_column(text: str, offset: int) -> Mark:
    """Return the position of the character at `offset`."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigProblem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    lines = text.splitlines()
    if line <= len(lines) and lines[line - 1][column - 1 : column] == "\t":
        return ConfigProblem(file, line, column, "", "got a tab, wanted spaces to indent")
    message = f"this is not YAML: {error.problem or 'it cannot be read'}"
    if error.context:
        begun = f" that begins in line {error.context_mark.line + 1}" if error.context_mark is not None else ""
        message += f" {error.context}{begun}"
    return ConfigProblem(file, line, column, "", message)
