"""Variations of a question, so that a model learns what is asked and not one form of words."""

from __future__ import annotations

import random
import re

# A question of the left form can also be asked in any of the forms on the right.
_REWORDINGS = tuple(
    (re.compile(pattern, re.IGNORECASE), forms)
    for pattern, forms in (
        (
            r"what is the difference between (.+) and (.+?)\??$|(.+) versus (.+?)\??$",
            ("{0} vs {1}", "{0} or {1}?", "compare {0} with {1}", "how is {0} not the same as {1}?", "{0} versus {1}"),
        ),
        (
            r"(?:what (?:is|are|does)|explain|define|describe|tell me about) (?:an? |the )?(.+?)(?: mean| do)?\??$",
            (
                "{0}",
                "{0}?",
                "{0} explained",
                "what about {0}?",
                "what's {0}?",
                "whats {0}",
                "tell me about {0}",
                "explain {0} to me",
                "describe {0}",
                "can you explain {0}?",
                "i have a question about {0}",
                "what does {0} mean?",
                "what exactly is {0}?",
                "give me a definition of {0}",
                "i do not know what {0} is",
            ),
        ),
        (
            r"how (?:do|can) i (.+?)\??$",
            (
                "how to {0}?",
                "how can i {0}?",
                "how should i {0}?",
                "i want to {0}",
                "is there a way to {0}?",
                "what must i do to {0}?",
                "help me to {0}",
                "i need to {0}, how?",
                "can i {0}?",
            ),
        ),
        (
            r"how do(?:es)? (.+?) work\??$",
            (
                "explain how {0} works",
                "the working of {0}",
                "what is {0} and how does it work?",
                "how {0}?",
                "{0}, how?",
            ),
        ),
        (
            r"what happens (?:when|if) (.+?)\??$",
            ("what if {0}?", "{0}, what happens?", "{0}. what now?", "what happens if {0}?", "what happens after {0}?"),
        ),
        (
            r"(?:does|can|may|is) headgate (.+?)\??$",
            ("can headgate {0}?", "does headgate {0}?", "will headgate {0}?", "i wonder whether headgate can {0}"),
        ),
        (
            r"why (.+?)\??$",
            ("for what reason {0}?", "why is it that {0}?", "i ask myself why {0}", "the reason why {0}"),
        ),
    )
)
_OPENINGS = (
    "please",
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
    "so",
    "and",
    "ok,",
    "i am new here.",
    "my boss asks:",
    "one more thing:",
    "well,",
)
_ENDINGS = (
    "please",
    "exactly",
    "in one sentence",
    "in simple words",
    "and why",
    "thanks",
    "briefly",
    "for beginners",
    "in general",
    "again",
    "today",
    "really",
    "for me",
    "in practice",
    "then",
)
_FILLERS = [
    "the",
    "a",
    "my",
    "our",
    "this",
    "that",
    "really",
    "just",
    "now",
    "then",
    "some",
    "any",
    "one",
    "exactly",
    "also",
    "here",
]
_SMALL_WORD = re.compile(r"(?i)\b(an?|the|is|are|do|does|of|to|in|for|by|what|how|why|me|i|my|it|can|should|with) ")
_SYNONYMS = {
    "config": "configuration",
    "configuration": "config",
    "fails": "breaks",
    "down": "broken",
    "limit": "restrict",
    "limits": "restricts",
    "answer": "reply",
    "answers": "replies",
    "response": "answer",
    "responses": "answers",
    "request": "call",
    "requests": "calls",
    "client": "caller",
    "clients": "callers",
    "upstream": "backend",
    "error": "failure",
    "errors": "failures",
    "endpoint": "address",
    "start": "launch",
    "stop": "halt",
    "happens": "goes on",
    "disconnects": "leaves",
    "leaves": "goes away",
    "why": "for what reason",
    "use": "work with",
    "used": "good",
    "make": "create",
    "create": "make",
    "need": "want",
    "needs": "requires",
    "handle": "deal with",
    "support": "know",
    "choose": "pick",
    "check": "test",
    "header": "field",
    "headers": "fields",
    "models": "model",
    "plugin": "extension",
    "plugins": "extensions",
    "server": "service",
    "find": "see",
    "explain": "describe",
}


def vary(question: str, draw: random.Random) -> str:
    """Give the question as another person might type it: reworded, framed, shortened, misspelt, or as it is."""
    text = question
    for share, change in _CHANGES:
        if draw.random() < share:
            text = change(text, draw)
    return text if text.strip() else question


def _reword(text: str, draw: random.Random) -> str:
    for pattern, forms in _REWORDINGS:
        found = pattern.match(text)
        if found:
            return draw.choice(forms).format(*(part for part in found.groups() if part is not None))
    return text


def _swap_synonym(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    known = [index for index, word in enumerate(words) if word.lower().strip("?,.") in _SYNONYMS]
    if not known:
        return text
    at = draw.choice(known)
    bare = words[at].strip("?,.")
    words[at] = words[at].replace(bare, _SYNONYMS[bare.lower()])
    return " ".join(words)


def _frame(text: str, draw: random.Random) -> str:
    if draw.random() < 0.7:
        return f"{draw.choice(_OPENINGS)} {text}"
    return f"{text.rstrip('?')} {draw.choice(_ENDINGS)}"


def _drop_small_words(text: str, draw: random.Random) -> str:
    if text.count(" ") < 2:
        return text
    return _SMALL_WORD.sub(lambda found: "" if draw.random() < 0.5 else found[0], text)


def _drop_any_word(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    if len(words) < 5:
        return text
    del words[draw.randrange(len(words))]
    return " ".join(words)


def _shuffle(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    return " ".join(draw.sample(words, k=len(words)))


def _add_filler(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    words.insert(draw.randrange(len(words) + 1), draw.choice(_FILLERS))
    return " ".join(words)


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


def _drop_mark(text: str, _draw: random.Random) -> str:
    return text.rstrip("?.! ")


_CHANGES = (
    (0.35, _reword),
    (0.15, _swap_synonym),
    (0.2, _frame),
    (0.2, _drop_small_words),
    (0.1, _drop_any_word),
    (0.04, _shuffle),
    (0.12, _add_filler),
    (0.1, _misspell),
    (0.3, _drop_mark),
)
