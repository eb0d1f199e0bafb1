"""Chunked bodies: where they end, and what is refused."""

from __future__ import annotations

from types import ModuleType

import pytest

from headgate.ext.http1 import MAX_EXTENSION_BYTES, MAX_TRAILER_BYTES, ChunkError

BODY = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\n\r\n",
        b"000\r\n\r\n",
        BODY,
        b"1;a\r\nx\r\n0;b=c\r\n\r\n",
        b'1;a="b c;\\"\t"\r\nx\r\n0\r\n\r\n',
        b"A\r\n\r\n0\r\n\r\n\r\nX\r\n0\r\n\r\n",
        b"a\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
        b"0000000000000001\r\nx\r\n0\r\n\r\n",
    ],
)
def test_finds_the_end(http1: ModuleType, body: bytes) -> None:
    for data in (body + b"GET /", memoryview(body + b"GET /")):
        scanner = http1.ChunkScanner()
        assert scanner.feed(data) == len(body)
        assert scanner.is_complete
        assert scanner.feed(b"more") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"\n",
        b"g\r\n",
        b"+1\r\nx\r\n",
        b"-1\r\n",
        b" 1\r\nx\r\n",
        b"1 \r\nx\r\n",
        b"1\t\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b"1_0\r\n",
        b"1,\r\n",
        b"1.0\r\n",
        b"\xb2\r\n",
        b";a\r\n",
        b"00000000000000001\r\nx\r\n",
        b"1\nx\r\n",
        b"1\rx\r\n",
        b"1\r\r\nx",
        b"1;a\nx\r\n0\r\n\r\n",
        b"1;a\r\r\n",
        b"1;\r\n",
        b"1;a=\r\n",
        b"1 ;a\r\n",
        b"1; a\r\n",
        b"1;a =b\r\n",
        b'1;a="b\r\n',
        b'1;a="b"c\r\n',
        b"1;a\x00\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"1\r\nx\rX",
        b"1\r\nx0\r\n",
        b"5\r\nhello XX\r\n",
        b"0\r\nX\r\n",
        b"0\r\n X: 1\r\n",
        b"0\r\nX : 1\r\n",
        b"0\r\n: 1\r\n",
        b"0\r\nX: \x00\r\n",
        b"0\r\nX: 1\n",
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0\r\nContent-Length: 5\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n",
    ],
)
def test_refuses(http1: ModuleType, body: bytes) -> None:
    with pytest.raises(ChunkError):
        http1.ChunkScanner().feed(body)
    scanner = http1.ChunkScanner()
    with pytest.raises(ChunkError):
        for index in range(len(body)):
            scanner.feed(body[index : index + 1])


@pytest.mark.parametrize("start", [b"z", b"\r\n", b"12345678901234567", b"1\r\nxy", b"0\r\n\x01"])
def test_refuses_without_waiting_for_the_line_to_end(http1: ModuleType, start: bytes) -> None:
    with pytest.raises(ChunkError):
        http1.ChunkScanner().feed(start)


def test_extensions_are_bounded_over_the_whole_body(http1: ModuleType) -> None:
    chunk = b"1;" + b"a" * 99 + b"\r\nx\r\n"
    fits = MAX_EXTENSION_BYTES // 100
    scanner = http1.ChunkScanner()
    assert scanner.feed(chunk * fits) == len(chunk) * fits
    with pytest.raises(ChunkError, match="extensions"):
        scanner.feed(chunk)
    with pytest.raises(ChunkError, match="extensions"):
        http1.ChunkScanner().feed(b"1;" + b"a" * MAX_EXTENSION_BYTES)


def test_trailers_are_bounded(http1: ModuleType) -> None:
    fits = b"0\r\nX: " + b"a" * (MAX_TRAILER_BYTES - 7) + b"\r\n\r\n"
    scanner = http1.ChunkScanner()
    assert scanner.feed(fits) == len(fits)
    assert scanner.is_complete
    with pytest.raises(ChunkError, match="trailer section"):
        http1.ChunkScanner().feed(b"0\r\nX: " + b"a" * (MAX_TRAILER_BYTES - 6) + b"\r\n\r\n")
    with pytest.raises(ChunkError, match="trailer section"):
        http1.ChunkScanner().feed(b"0\r\n" + b"X: 1\r\n" * (MAX_TRAILER_BYTES // 6 + 1))


def test_a_huge_declared_size_needs_no_memory(http1: ModuleType) -> None:
    scanner = http1.ChunkScanner()
    assert scanner.feed(b"ffffffffffffffff\r\nabc") == 21
    assert not scanner.is_complete


@pytest.mark.parametrize("num_chunks", [0, 1, 2, 63, 64, 65, 200])
def test_gives_the_data_of_many_chunks_at_once(http1: ModuleType, num_chunks: int) -> None:
    datas = [b"%d" % number * (number % 5 + 1) for number in range(num_chunks)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in datas) + b"0\r\n\r\n"
    scanner = http1.ChunkScanner()
    assert scanner.decode(body + b"GET /") == (b"".join(datas), len(body))
    assert scanner.is_complete
    assert scanner.decode(b"more") == (b"", 0)


def test_passes_large_data_on_uncopied(http1: ModuleType) -> None:
    scanner, data = http1.ChunkScanner(), bytes(100_000)
    assert scanner.decode(b"30d40\r\n") == (b"", 7)
    for _ in range(2):
        found, size = scanner.decode(data)
        assert found is data
        assert size == len(data)
    assert scanner.decode(b"\r\n0\r\n\r\n") == (b"", 7)
    assert scanner.is_complete


@pytest.mark.parametrize("line", [b"A", b"A;b=c", b"00A", b"A\r", b"A;b=c\r"])
def test_goes_on_inside_a_line(http1: ModuleType, line: bytes) -> None:
    scanner = http1.ChunkScanner()
    assert scanner.decode(line) == (b"", len(line))
    rest = b"\r\n"[line.count(b"\r") :] + b"0123456789\r\n0\r\n\r\n"
    assert scanner.decode(rest) == (b"0123456789", len(rest))
    assert scanner.is_complete


def test_the_trailer_section_is_bounded_to_the_byte_of_its_last_line(http1: ModuleType) -> None:
    scanner = http1.ChunkScanner()
    scanner.feed(b"0\r\nX: " + b"a" * (MAX_TRAILER_BYTES - 6) + b"\r\n"[:1])
    with pytest.raises(ChunkError, match="trailer section"):
        scanner.feed(b"\n\r\n")


def test_knows_when_it_is_between_chunks(http1: ModuleType) -> None:
    scanner, told = http1.ChunkScanner(), [True]
    for octet in b"2;a\r\nab\r\n1\r\na\r\n0\r\n\r\n":
        scanner.feed(bytes((octet,)))
        told.append(scanner.is_between_chunks)
    assert [place for place, is_between in enumerate(told) if is_between] == [0, 9, 15]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"1\r\nx\r\n", (1, 1)),
        (b"A\r\n0123456789\r\n00b\r\n\r\nabcde\r\n01\r\n", (2, 21)),
        (b"", None),
        (b"1\r\nx\r\n0\r\n\r\n", None),  # the last one
        (b"1;a\r\nx\r\n", None),
        (b"1\nx\r\n", None),
        (b"1\r\nx\r", None),
        (b"1\r\nx\r\n1", None),
        (b"1\r\nx\r\n1\r\n", None),
        (b"1\r\nxx\r\n", None),
        (b"00000000000000001\r\nx\r\n", None),
        (b"ffffffffffffffff\r\nx\r\n", None),
    ],
)
def test_sees_whole_chunks_with_a_size_alone_and_stays_where_it_is(
    http1: ModuleType, data: bytes, found: tuple[int, int] | None
) -> None:
    scanner = http1.ChunkScanner()
    assert scanner.see_plain(data) == found
    assert scanner.see_plain(data) == found
    assert scanner.decode(b"2\r\nab\r\n") == (b"ab", 7)
    assert scanner.see_plain(data) == found


@pytest.mark.parametrize("begun", [b"1", b"1\r", b"1\r\n", b"1\r\nx", b"1\r\nx\r", b"0\r\n", b"0\r\n\r\n", b"1;a"])
def test_sees_nothing_but_between_chunks(http1: ModuleType, begun: bytes) -> None:
    scanner = http1.ChunkScanner()
    scanner.decode(begun)
    assert scanner.see_plain(b"1\r\nx\r\n") is None
