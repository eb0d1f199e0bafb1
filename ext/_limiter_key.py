"""The names of limiter cells: a caller's key as bytes, and the keyed hash that places it."""

from __future__ import annotations

import struct

KeyPart = str | bytes | int | None
Key = tuple[KeyPart, ...]

SECRET_BYTES = 16
_MASK = (1 << 64) - 1


def encode_key(key: Key) -> bytes:
    """Return a key as bytes: the same for equal keys in every process, and different for different ones.

    Each part says what it is and how long: `n` is None; `i` an int in 8 bytes; `s` a str, `b` bytes, each after its
    length in 8 bytes. Numbers are little-endian; text is UTF-8, surrogates by themselves included.
    Raises: TypeError for a part of another type, ValueError for an int that 64 bits do not hold.
    """
    return b"".join(map(_encode_part, key))


def _encode_part(part: KeyPart) -> bytes:
    if part is None:
        return b"n"
    if isinstance(part, int):
        try:
            return b"i" + struct.pack("<q", part)
        except struct.error:
            raise ValueError(f"expected an int of at most 64 bits in the key of a cell, got {part}") from None
    if isinstance(part, str):
        return _sized(b"s", part.encode("utf-8", "surrogatepass"))
    if isinstance(part, bytes):
        return _sized(b"b", part)
    raise TypeError(f"expected str, bytes, int or None in the key of a cell, got {type(part).__name__}")


def _sized(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<q", len(data)) + data


def siphash128(secret: bytes, data: bytes) -> tuple[int, int]:
    """Return the SipHash-2-4 of `data` as two numbers of 64 bits, under a secret of 16 bytes.

    Who does not know the secret cannot find keys that meet. Cost: linear in `data`.
    Source: Aumasson and Bernstein, SipHash: a fast short-input PRF (2012); 128 bits as in their reference code.
    """
    k0, k1 = struct.unpack("<2Q", secret)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    halves = []
    for place, mark in ((2, 0xEE), (1, 0xDD)):
        v[place] ^= mark
        _rounds(v, 4)
        halves.append(v[0] ^ v[1] ^ v[2] ^ v[3])
    return halves[0], halves[1]


def _rounds(v: list[int], num: int) -> None:
    v0, v1, v2, v3 = v
    for _ in range(num):
        v0, v2 = (v0 + v1) & _MASK, (v2 + v3) & _MASK
        v1, v3 = _rotated(v1, 13) ^ v0, _rotated(v3, 16) ^ v2
        v0, v2 = (_rotated(v0, 32) + v3) & _MASK, (v2 + v1) & _MASK
        v1, v3 = _rotated(v1, 17) ^ v2, _rotated(v3, 21) ^ v0
        v2 = _rotated(v2, 32)
    v[:] = v0, v1, v2, v3


def _rotated(word: int, num_bits: int) -> int:
    return (word << num_bits | word >> 64 - num_bits) & _MASK
