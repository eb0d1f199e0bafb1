"""The documents of the repository, taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .tree import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A listing: its language ("" for none), its text, and the heading it stands under."""

    language: str
    text: str
    heading: str


def name_of(page: Path) -> str:
    """Return a page's path from the root."""
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    """Return the text of the page `name`."""
    return (ROOT / name).read_text()


def prose(text: str) -> str:
    """Return a page without its listings."""
    return _FENCE.sub("", text)


def blocks(text: str) -> Iterator[Block]:
    """Yield every listing of a page."""
    for match in _FENCE.finditer(text):
        above = [found[2] for found in _HEADING.finditer(prose(text[: match.start()]))]
        indent = match[1]
        lines = match[3].split("\n")
        yield Block(match[2], "\n".join(line.removeprefix(indent) for line in lines), above[-1] if above else "")


def headings(text: str) -> list[str]:
    """Return the headings of a page."""
    return [match[2] for match in _HEADING.finditer(prose(text))]


def links(text: str) -> list[str]:
    """Return where the links of a page lead."""
    return [match[1] for match in _LINK.finditer(prose(text))]


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def rows(text: str, first_column: str) -> list[list[str]]:
    """Return the cells of every table whose first column has this title, without marks of code."""
    found: list[list[str]] = []
    is_inside = False
    for line in prose(text).split("\n"):
        if not line.startswith("|"):
            is_inside = False
            continue
        cells = [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        if cells[0] == first_column:
            is_inside = True
        elif is_inside and not all(set(cell) <= set("-:") for cell in cells):
            found.append(cells)
    return found
