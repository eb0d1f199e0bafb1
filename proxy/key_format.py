"""How a key is written, and the digest by which it is known.

`hg_<environment>_<256 random bits in base 62>_<CRC-32 of all before it>`: scanners find it by its beginning, a slip of
the pen is told from a wrong key by its end. The random part is long enough that a fast digest is safe; the pepper keeps
a stolen keys file from being of use to anybody who can guess keys of other origin.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib

PREFIX = "hg_"
_PREFIX = PREFIX.encode()
_BLOCK_BYTES = 64  # of SHA-256
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
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


class Digester:
    """Digests keys as `digest` does, under one pepper that is looked at once.

    Half of an HMAC is the hash of its secret. Both hashes that begin with it are kept where they stand after that, and
    copied: that takes half the time of a whole HMAC, or of a copy of one. Source: RFC 2104 §4.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: str) -> None:
        secret = pepper.encode()
        if len(secret) > _BLOCK_BYTES:
            secret = hashlib.sha256(secret).digest()
        block = secret.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER)).copy
        self._outer = hashlib.sha256(block.translate(_OUTER)).copy

    def digest(self, key: bytes) -> bytes:
        """Return the 32 bytes of a key's digest."""
        inner = self._inner()
        inner.update(key)
        outer = self._outer()
        outer.update(inner.digest())
        return outer.digest()


def is_well_formed(key: str | bytes) -> bool:
    """Whether `key` begins as a key of ours and ends with the right checksum, known or not."""
    text, _, checksum = (key.encode() if isinstance(key, str) else key).rpartition(b"_")
    return text.startswith(_PREFIX) and checksum == b"%08x" % zlib.crc32(text)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _base62(number: int) -> str:
    digits = []
    for _ in range(_SECRET_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
