"""Limiter cells: call by call as the twin; no window takes more than it may, whatever dead processes left behind."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap
from random import Random

from headgate.ext import implementation
from headgate.ext._gcra import Limit
from headgate.ext._limiter_cells_py import NUM_SHARED
from headgate.ext._limiter_key import SECRET_BYTES, Key, encode_key, siphash128
from headgate.ext.limiter_cells import Decision

from ...property.ext.test_limiter_cells_laws import Call, Play, assert_no_window_exceeds
from ..draws import Draws

COMPILED, TWIN = implementation("limiter_cells", "compiled"), implementation("limiter_cells", "twin")
SECRET = bytes(range(16))
NUM_KEYS = 12
MAX_CALLS = 120
LARGEST = 1 << 62
CLAIMED = 1 << 63
# Of a table's memory: where its secret is, and where its cells of 16 bytes begin.
SECRET_AT, CELLS_AT = 16, 4096 + 8 * NUM_SHARED
MAX_BYTES = 1024
TOKENS = ()


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    draws = Draws(data)
    limits = [Limit(1 + draws.number() % 50, 1 + draws.number() % 8) for _ in range(1 + draws.number() % 3)]
    max_cells = (1, 2, 5, 12, 17, 40)[draws.number() % 6]
    keys = [(number, *drawn_key(draws)) for number in range(NUM_KEYS)]
    plays = [Play(module.LimiterCells(max_cells, SECRET), limits, keys) for module in (TWIN, COMPILED)]
    check_edges(draws, keys[0])
    if COMPILED.LimiterCells.is_shareable:
        check_claims(draws, limits, keys)
    for _ in range(MAX_CALLS):
        if draws.is_empty:
            break
        call = drawn_call(draws)
        decisions = [play.call(call) for play in plays]
        assert decisions[0] == decisions[1], call
        assert len(plays[0].cells) == len(plays[1].cells)
    for who, events in plays[1].events.items():
        assert_no_window_exceeds(limits[who % len(limits)], events)


def drawn_key(draws: Draws) -> Key:
    """Draw the parts of a key, long ones too."""
    kind = draws.number()
    if kind & 15 == 0:
        return ()
    parts = (
        None,
        draws.number(8) - (1 << 63),
        draws.text(),
        draws.text().decode("utf-8", "surrogateescape"),
        "x" * 500,
    )
    return tuple(part for place, part in enumerate(parts) if kind >> place & 1)


def drawn_call(draws: Draws) -> Call:
    """Draw who asks, for how much, how far the clock goes, and what is settled."""
    kind, step = draws.number(), draws.number() - 40
    return draws.number() % NUM_KEYS, kind & 3, bool(kind & 4), step, kind >> 3


def check_claims(draws: Draws, limits: list[Limit], keys: list[Key]) -> None:
    """Claims of processes that died, for callers that ask and for others, lift no limit."""
    num_cells = 1 + draws.number() % 6
    cells = COMPILED.LimiterCells.create(num_cells)
    with mmap(cells.fileno(), 0) as memory:
        secret = memory[SECRET_AT : SECRET_AT + SECRET_BYTES]
        for place in range(num_cells):
            kind = draws.number()
            if kind & 1:
                caller = siphash128(secret, encode_key(keys[kind >> 4 & 3]))[0]
                claim = CLAIMED | draws.number(1 + (kind >> 1 & 1))
                struct.pack_into("<2Q", memory, CELLS_AT + 16 * place, caller, claim)
    play = Play(cells, limits, keys)
    for _ in range(draws.number() % 32):
        who, units, is_reserved, step, used = drawn_call(draws)
        play.call((who % 4, units, is_reserved, step, used))
    for who, events in play.events.items():
        assert_no_window_exceeds(limits[who % len(limits)], events)


def check_edges(draws: Draws, key: Key) -> None:
    """Units, instants and limits near the bounds of 64 bits, in a table of their own."""
    limit = Limit(1 + draws.number(8) % (1 << 50), 1 + draws.number() % 4096)
    tables = [module.LimiterCells(4, SECRET) for module in (TWIN, COMPILED)]
    now = 0
    for _ in range(draws.number() % 8):
        units, now, used = draws.number(), now + draws.number(8) % (1 << 60), draws.number(8) % (LARGEST + 2)
        answers = [asked(table, key, limit, (units, now, used)) for table in tables]
        assert answers[0] == answers[1], (limit, units, now, used)


def asked(table: object, key: Key, limit: Limit, numbers: tuple[int, int, int]) -> tuple[Decision, Decision] | type:
    """Reserve, settle and look; a refusal is a result, too."""
    units, now, used = numbers
    cells = table
    try:
        reserved = cells.reserve(key, limit, units, now)  # type: ignore[attr-defined]
        if reserved.decision.is_admitted:
            reserved.settle(used, now)
        return reserved.decision, cells.admit(key, limit, 0, now)  # type: ignore[attr-defined]
    except ValueError as error:
        return type(error)


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    for seed in range(100):
        yield Random(seed).randbytes(100 + seed * 4)
