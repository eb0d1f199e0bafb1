"""How a key is written, and the digest by which it is known.

`hg_<environment>_<256 random bits in base 62>_<CRC-32 of all before it>`: scanners find it by its beginning, a slip of
the pen is told from a wrong key by its end. The random part is long enough that a fast digest is safe; the pepper keeps
a stolen keys file from being of use to anybody who can guess keys of other origin.
"""

from __future__ import annotations

import hmac
import re
import secrets
import zlib

PREFIX = "hg_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BITS = 256
_SECRET_DIGITS = 43  # 62**43 > 2**256
_ENVIRONMENT = re.compile(r"[a-z0-9]{1,16}")


def new_key(environment: str) -> str:
    """Return a new random key for `environment`, such as `live` or `test`.

    Raises: ValueError for what is not 1 to 16 lower-case letters and digits.
    """
    if not _ENVIRONMENT.fullmatch(environment):
        raise ValueError(f"expected an environment of 1 to 16 lower-case letters and digits, got {environment!r}")
    text = f"{PREFIX}{environment}_{_base62(secrets.randbits(_SECRET_BITS))}"
    return f"{text}_{_checksum(text)}"


def digest(key: str, pepper: str) -> str:
    """Return what a keys file holds of `key`: its HMAC-SHA256 under the pepper, in hexadecimal."""
    return hmac.digest(pepper.encode(), key.encode(), "sha256").hex()


def is_well_formed(key: str) -> bool:
    """Whether `key` begins as a key of ours and ends with the right checksum, known or not."""
    text, _, checksum = key.rpartition("_")
    return text.startswith(PREFIX) and _checksum(text) == checksum


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _base62(number: int) -> str:
    digits = []
    for _ in range(_SECRET_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
