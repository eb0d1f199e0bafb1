"""One form for all texts that read alike."""

from __future__ import annotations

import re
import unicodedata

# What is not seen: soft hyphen, joiners and marks of direction, variation selectors, tags, fillers.
# Source: Unicode, Default_Ignorable_Code_Point.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def normal(text: str, *, fold_case: bool) -> str:
    """Return `text` without what is not seen, its compatible forms as one, and each white space as one blank.

    To do it twice changes nothing. Cost: linear; the text grows to at most 18 times its length.
    Source: Unicode TR15 (NFKC), and the definition of NFKC_Casefold.
    """
    if text.isascii():
        return " ".join((text.lower() if fold_case else text).split())
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    if fold_case:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(_UNSEEN.sub("", text).split())
