"""Variations of a question, so that a model learns its words and not its exact form."""

from __future__ import annotations

import random
import re

_OPENINGS = (
    "please tell me",
    "can you tell me",
    "could you explain",
    "i want to know",
    "i would like to know",
    "do you know",
    "hello,",
    "hi,",
    "tell me:",
    "question:",
    "quick question:",
    "in short,",
)
_ENDINGS = ("please", "exactly", "in one sentence", "in simple words", "and why", "thanks", "briefly", "for beginners")
_SMALL_WORD = re.compile(r"(?i)\b(an?|the|is|are|do|does|of|to|in|for|by|what|how|why|me|i|my|it|can|should|with) ")


def vary(question: str, draw: random.Random) -> str:
    """Give the question as another person might type it: framed, shortened, misspelt, or as it is."""
    text = question
    if draw.random() < 0.25:
        text = _frame(text, draw)
    if draw.random() < 0.2:
        text = _drop_small_word(text, draw)
    if draw.random() < 0.1:
        text = _misspell(text, draw)
    if draw.random() < 0.3:
        text = text.rstrip("?.! ")
    return text or question


def _frame(text: str, draw: random.Random) -> str:
    if draw.random() < 0.7:
        return f"{draw.choice(_OPENINGS)} {text}"
    return f"{text.rstrip('?')} {draw.choice(_ENDINGS)}"


def _drop_small_word(text: str, draw: random.Random) -> str:
    found = list(_SMALL_WORD.finditer(text))
    if not found or text.count(" ") < 2:
        return text
    start, end = draw.choice(found).span()
    return text[:start] + text[end:]


def _misspell(text: str, draw: random.Random) -> str:
    """Swap two letters inside one of the longer words, or leave one out."""
    longer = [found.span() for found in re.finditer(r"[A-Za-z]{5,}", text)]
    if not longer:
        return text
    start, end = draw.choice(longer)
    at = draw.randrange(start + 1, end - 1)
    if draw.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
