"""What every operation of a chaos run sends and must get, and what goes wrong with it: all drawn from one seed."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache

ROUTES = ("one", "next", "safe")
# How often each thing happens, out of all arrivals of a request at an origin.
FAULTS = {
    "good": 52,
    "good with an interim answer": 2,
    "good in slow pieces": 4,
    "good, then close": 4,
    "good, then reset": 2,
    "good, then a foreign answer at once": 3,
    "good before the request was read": 3,
    "refusal before the request was read": 2,
    "500": 2,
    "502": 2,
    "503": 2,
    "503 with Retry-After": 2,
    "silence before the head": 1,
    "silence before the request was read": 1,
    "silence inside the body": 1,
    "reset before the request was read": 2,
    "reset inside the head": 3,
    "reset inside the body": 3,
    "end inside the head": 2,
    "end inside the body": 2,
    "reset inside a body that ends with the connection": 2,
    "length too long": 2,
    "broken chunk": 2,
    "garbage": 4,
}
GARBAGE = (
    b"\x00\x01\x02\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nno",
    b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nno",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nno",
    b"SSH-2.0-no\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
)
# Only what leaves in one piece with the answer comes for certain before the connection is used again.
FOREIGN_AFTER_BYTES = 8_000
FOREIGN = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Operation: foreign\r\n\r\nforeign"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request. Its id stands in the path, so that an origin knows what to answer."""

    id: str
    method: str
    route: str
    upload_bytes: int
    is_chunked: bool

    @property
    def path(self) -> str:
        return f"/{self.route}/{self.id}"

    @property
    def may_run_twice(self) -> bool:
        return self.method == "GET" or self.route == "safe"


def operations(seed: int, number: int) -> list[Operation]:
    """Draw the operations of a run."""
    chance = random.Random(seed)
    return [_operation(chance, index) for index in range(number)]


def _operation(chance: random.Random, index: int) -> Operation:
    method = "POST" if chance.random() < 0.4 else "GET"
    size = _size(chance) if method == "POST" else 0
    return Operation(f"{index:05d}", method, chance.choice(ROUTES), size, size > 0 and chance.random() < 0.4)


def _size(chance: random.Random) -> int:
    largest = chance.choices((0, 1, 300, 5_000, 70_000, 200_000), (5, 5, 50, 20, 12, 8))[0]
    return chance.randint(largest // 2, largest)


def upload(operation: Operation) -> bytes:
    """Return the body that the client sends: letters, digits, nothing that looks like HTTP."""
    return _letters(f"up {operation.id}", operation.upload_bytes)


def download(identity: str) -> bytes:
    """Return the body of the one right answer to an operation."""
    return _letters(f"down {identity}", _size(random.Random(f"size {identity}")))


@lru_cache(maxsize=256)
def _letters(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).hexdigest(size // 2 + 1)[:size].encode()


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one arrival of an operation at an origin. `chance` decides the details."""

    fault: str
    chance: random.Random

    @property
    def reads_request(self) -> bool:
        return "before the request was read" not in self.fault


def fate(seed: int, identity: str, arrival: int) -> Fate:
    """Draw what happens when an operation arrives for the `arrival`-th time, wherever that is."""
    chance = random.Random(f"{seed} {identity} {arrival}")
    return Fate(chance.choices(list(FAULTS), list(FAULTS.values()))[0], chance)
