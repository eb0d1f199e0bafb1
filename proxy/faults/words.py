"""The text, and its tokens."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_TOKENS = 100_000
# Characters of one to four bytes: a cut between bytes is to fall inside some of them.
DEFAULT_TEXT = (
    "The café in Zürich counts every word that leaves: naïve ones, 東京 and Kraków, 5 € for tea, one 🚀 at noon, "
    "and then it stops."
)

_TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?|\s+")
_WORDS = ("the", "café", "Zürich", "counts", "naïve", "東京", "words", "Kraków", "5€", "🚀")


@lru_cache(maxsize=4)
def tokens_of(text: str) -> tuple[str, ...]:
    """Cut a text into tokens, one a word with the white space before it; joined they are the text."""
    return tuple(_TOKEN.findall(text))


def numbered_text(num_tokens: int) -> str:
    """Return a text of so many tokens, no two alike, so that a gap or a repeated piece shows."""
    return " ".join(f"{_WORDS[number % len(_WORDS)]}{number}" for number in range(num_tokens))


def continued(text: str, prefill: str | None) -> str:
    """Return what follows `prefill`: the rest of the text where it begins so, else all of it."""
    return text.removeprefix(prefill) if prefill else text
