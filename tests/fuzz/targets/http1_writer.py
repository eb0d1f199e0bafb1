"""Heads of requests as they are written: as the twin writes them, and read back as they were given."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from headgate.ext import implementation
from headgate.ext.http1 import HeadError, HeadLimits, Pair, WrittenHead

from ...property.ext.message_peers import assert_h11_reads_request
from ...property.ext.message_writer import CODINGS, HOSTS, LENGTHS, METHODS, ODD_FIELDS, TARGETS, MessageWriter
from ..draws import Draws, sized

COMPILED, TWIN = implementation("http1", "compiled"), implementation("http1", "twin")
LIMITS = HeadLimits(8192, 65536, 1000)
MAX_BYTES = 2048
TOKENS = (
    *map(
        sized, (b"Host", b"Content-Length", b"Transfer-Encoding", b"chunked", b"Connection", b"close", b"Upgrade", b"5")
    ),
    *(*METHODS, *TARGETS, *HOSTS[:4], *CODINGS, *LENGTHS, *ODD_FIELDS),
)


def check(data: bytes) -> None:
    """Raises: AssertionError."""
    draws = Draws(data)
    is_tuple, method, target = draws.number() % 2 == 1, draws.text(), draws.text()
    fields: list[Pair] = []
    while not draws.is_empty:
        fields.append((draws.text(), draws.text()))
    done = written(COMPILED, method, target, fields)
    assert done == written(TWIN, method, target, fields)
    if is_tuple:
        assert (
            done == COMPILED.write_request_head(method, target, tuple(fields))
            if isinstance(done, WrittenHead)
            else True
        )
    if isinstance(done, WrittenHead):
        assert_reads_back(done, method, target, fields)


def written(module: ModuleType, method: bytes, target: bytes, fields: list[Pair]) -> WrittenHead | str:
    """Write a head; why it is refused is a result, too."""
    try:
        done: WrittenHead = module.write_request_head(method, target, fields)
    except ValueError as error:
        return str(error)
    return done


def assert_reads_back(done: WrittenHead, method: bytes, target: bytes, fields: list[Pair]) -> None:
    """See that a reader finds what was given, Host first."""
    try:
        head = COMPILED.parse_request_head(done.data, LIMITS)
    except HeadError:
        return  # the reader knows more of Host, target and Expect than the writer
    assert (head.method, head.target) == (method, target)
    assert list(head.fields) == sorted(fields, key=lambda pair: pair[0].lower() != b"host")
    assert done.length == (None if head.is_chunked else head.content_length or 0)
    assert done.is_keep_alive is head.is_keep_alive
    if done.length == 0:
        assert_h11_reads_request(done.data, head, b"")


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with."""
    for seed in range(200):
        writer = MessageWriter(seed)
        parts = (writer.pick(METHODS), writer.pick(TARGETS), *(part for pair in writer.fields() for part in pair))
        yield bytes((seed % 2,)) + b"".join(map(sized, parts))
