"""Laws of the readers and the writer of HTTP/1.1: any split, any bytes, and the compiled ones as the twin."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import ModuleType

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headgate.ext import implementation
from headgate.ext.http1 import ChunkError, HeadError, HeadLimits

from .message_reader import Reading, read_body, read_request, read_response
from .message_writer import METHODS, MessageWriter

TWIN = implementation("http1", "twin")
writers = st.integers(0, 2**32).map(MessageWriter)
# What is common, what refuses much, and what the compiled reader leaves to the twin.
limits = st.sampled_from((HeadLimits(), HeadLimits(), HeadLimits(40, 120, 5), HeadLimits(8192, 65536, 1000)))

SMALL = HeadLimits(max_line_bytes=60, max_head_bytes=200, max_fields=8)

# Pieces that heads and chunked bodies are made of, good and bad, so that random joins come near the grammar's edges.
HEAD_PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b=%20 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET http://b.example/x HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.2\r\n",
        b"FOO / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 304 \r\n",
        b"HTTP/1.0 404 No\r\n",
        b"HTTP/1.1 204\r\n",
        b"Host: a.example\r\n",
        b"host:[::1]:80 \r\n",
        b"Content-Length: 5\r\n",
        b"content-length:\t0\r\n",
        b"Content-Length: +5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"connection: keep-alive, x\r\n",
        b"X: \xe9\xff\r\n",
        b"X-Y:a\tb\r\n",
        b" folded\r\n",
        b"Expect: 100-continue\r\n",
        b"Bad : x\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\x00",
        b":",
        b" ",
        b"x",
        b"a" * 50,
    ]
)
HEADS = (
    st.lists(HEAD_PIECES, max_size=8).map(b"".join).flatmap(lambda h: st.sampled_from([h, h + b"\r\n", h + b"\r\nz"]))
)

GOOD = [
    b"5\r\nhello\r\n",
    b"00a\r\n0123456789\r\n",
    b"1;a=b\r\nx\r\n",
    b'2;a="\\"b"\r\n\r\n\r\n',
    b"1;x\r\n\r\r\n",
    b"F\r\n012345678901234\r\n",
    b"3;n=v;m\r\n\r\n0\r\n",
    b'1;q="a;b"\r\nz\r\n',
]
BAD = [
    b"\r\n",
    b"5",
    b"\r",
    b"\n",
    b"0",
    b"x",
    b";",
    b" ",
    b"+",
    b"\xff",
    b"=",
    b'"',
    b"ffffffffffffffff\r\n",
    b"0\r\n",
]
CHUNK_PIECES = st.sampled_from([*GOOD, *BAD, b"X: 1\r\n", b"Content-Length: 3\r\n", b"0\r\n\r\n"])
GOOD_CHUNKS = st.lists(st.sampled_from(GOOD), max_size=6).map(b"".join)
LAST_CHUNKS = st.sampled_from([b"0\r\n\r\n", b"00;a\r\n\r\nPOST", b"0\r\nX: 1\r\nY:\r\n\r\n0\r\n", b"0\r\nX 1\r\n\r\n"])
CHUNKED = st.one_of(
    st.tuples(GOOD_CHUNKS, LAST_CHUNKS).map(b"".join),
    st.tuples(GOOD_CHUNKS, CHUNK_PIECES, LAST_CHUNKS).map(b"".join),
    st.lists(CHUNK_PIECES, max_size=8).map(b"".join),
)
CUTS = st.lists(st.integers(0, 300), max_size=8)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:stop] for start, stop in pairwise(edges)]


def buffered(http1: ModuleType, pieces: list[bytes], is_response: bool) -> tuple[object, ...]:
    """Feed the pieces; return what came out of it, with everything that was not taken."""
    buffer = http1.HeadBuffer(SMALL, is_response=is_response)
    try:
        for index, piece in enumerate(pieces):
            if (head := buffer.feed(piece)) is not None:
                return "head", head, buffer.rest + b"".join(pieces[index + 1 :])
    except HeadError as error:
        return "refused", error.kind, error.detail
    return ("open",)


@settings(max_examples=200)
@given(HEADS, CUTS, st.booleans())
def test_a_head_reads_the_same_for_any_split(
    http1: ModuleType, data: bytes, cuts: list[int], is_response: bool
) -> None:
    whole = buffered(http1, [data], is_response)
    assert buffered(http1, split(data, cuts), is_response) == whole
    assert buffered(http1, [data[index : index + 1] for index in range(len(data))], is_response) == whole


@given(HEADS)
def test_what_the_buffer_refuses_the_parser_refuses(http1: ModuleType, data: bytes) -> None:
    end = data.find(b"\r\n\r\n")
    assume(end > 0)
    raw = data[: end + 4]
    outcome = buffered(http1, [raw], False)
    if outcome[0] == "refused":
        try:
            http1.parse_request_head(raw, SMALL)
        except HeadError:
            return
        raise AssertionError(f"the parser took what the buffer refused: {outcome}")


def scanned(http1: ModuleType, pieces: list[bytes]) -> tuple[str, int]:
    scanner, taken = http1.ChunkScanner(), 0
    try:
        for piece in pieces:
            taken += scanner.feed(piece)
    except ChunkError:
        return "refused", 0
    return ("complete" if scanner.is_complete else "open"), taken


@settings(max_examples=200)
@given(CHUNKED, CUTS)
def test_a_chunked_body_ends_at_the_same_byte_for_any_split(http1: ModuleType, data: bytes, cuts: list[int]) -> None:
    whole = scanned(http1, [data])
    assert scanned(http1, split(data, cuts)) == whole
    assert scanned(http1, [data[index : index + 1] for index in range(len(data))]) == whole


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def without_words(reading: Reading) -> Reading:
    """What is wrong with chunks is told by what there is of the line."""
    return Reading("chunks") if reading.end == "chunks" else reading


@settings(max_examples=120)
@given(writers, limits, st.sampled_from((b"GET", b"HEAD")))
def test_a_message_reads_the_same_for_any_split(
    http1: ModuleType, writer: MessageWriter, bounds: HeadLimits, method: bytes
) -> None:
    request, answer, body = writer.request(), writer.response(), writer.chunked()
    whole = without_words(read_request(http1, [request], bounds))
    for pieces in (bytewise(request), writer.pieces(request)):
        assert without_words(read_request(http1, pieces, bounds)) == whole, (request, pieces)
    whole = without_words(read_response(http1, [answer], method, bounds))
    for pieces in (bytewise(answer), writer.pieces(answer)):
        assert without_words(read_response(http1, pieces, method, bounds)) == whole, (answer, pieces)
    whole = without_words(read_body(http1.ChunkScanner(), [body]))
    for pieces in (bytewise(body), writer.pieces(body)):
        assert without_words(read_body(http1.ChunkScanner(), pieces)) == whole, (body, pieces)


@settings(max_examples=120)
@given(writers, limits, st.sampled_from((b"GET", b"HEAD")))
def test_a_message_reads_as_the_twin_reads_it_and_is_refused_in_its_words(
    http1: ModuleType, writer: MessageWriter, bounds: HeadLimits, method: bytes
) -> None:
    for pieces in (writer.pieces(writer.request()), bytewise(writer.request())):
        assert read_request(http1, pieces, bounds) == read_request(TWIN, pieces, bounds), pieces
    for pieces in (writer.pieces(writer.response()), bytewise(writer.response())):
        assert read_response(http1, pieces, method, bounds) == read_response(TWIN, pieces, method, bounds), pieces
    for pieces in (writer.pieces(writer.chunked()), bytewise(writer.chunked())):
        assert read_body(http1.ChunkScanner(), pieces) == read_body(TWIN.ChunkScanner(), pieces), pieces


@given(writers, limits)
def test_the_parsers_take_bytes_as_they_come_as_the_twin_does(
    http1: ModuleType, writer: MessageWriter, bounds: HeadLimits
) -> None:
    """Not only heads that a buffer let through."""

    def parsed(module: ModuleType, raw: bytes) -> object:
        try:
            return module.parse_request_head(raw, bounds)
        except HeadError as refused:
            try:
                return module.parse_response_head(raw, bounds, request_method=b"GET"), str(refused)
            except HeadError as error:
                return str(refused), str(error)

    for raw in (writer.request(), writer.response(), writer.chunked()):
        assert parsed(http1, raw) == parsed(TWIN, raw), raw


@given(writers)
def test_what_is_counted_is_what_is_decoded(http1: ModuleType, writer: MessageWriter) -> None:
    counter, decoder = http1.ChunkScanner(), http1.ChunkScanner()
    for piece in writer.pieces(writer.chunked()):
        try:
            size = counter.feed(memoryview(piece))
        except ChunkError:
            return
        assert decoder.decode(piece)[1] == size
        assert decoder.is_complete is counter.is_complete


@given(writers)
def test_chunks_that_are_seen_as_plain_are_those_that_are_decoded(http1: ModuleType, writer: MessageWriter) -> None:
    seeing, twin = http1.ChunkScanner(), TWIN.ChunkScanner()
    for piece in writer.pieces(writer.chunked()) + writer.pieces(writer.chunked()):
        found = seeing.see_plain(piece)
        assert found == twin.see_plain(piece), piece
        try:
            data, size = seeing.decode(piece)
            twin.decode(piece)
        except ChunkError:
            assert found is None, piece
            return
        if found is not None:
            assert (found[1], size, seeing.is_between_chunks) == (len(data), len(piece), True), piece


@settings(max_examples=120)
@given(writers)
def test_a_request_is_written_as_the_twin_writes_it_or_refused_in_its_words(
    http1: ModuleType, writer: MessageWriter
) -> None:
    def written(module: ModuleType) -> object:
        try:
            return module.write_request_head(method, target, fields)
        except ValueError as error:
            return str(error)

    method, target, fields = (
        writer.pick((*METHODS, b"", b"a b")),
        writer.pick((b"/", b"*", b"", b"/ x")),
        writer.fields(),
    )
    assert written(http1) == written(TWIN), fields


@settings(max_examples=120)
@given(writers)
def test_what_is_written_reads_as_it_was_given(http1: ModuleType, writer: MessageWriter) -> None:
    fields = writer.fields()
    try:
        written = http1.write_request_head(b"PUT", b"/x", fields)
        head = http1.parse_request_head(written.data, HeadLimits())
    except ValueError:
        return  # the reader knows more of Host than the writer
    is_host = [name.lower() == b"host" for name, _ in fields]
    assert list(head.fields) == [
        *(pair for pair, is_first in zip(fields, is_host, strict=True) if is_first),
        *(pair for pair, is_first in zip(fields, is_host, strict=True) if not is_first),
    ]
    assert written.length == (None if head.is_chunked else head.content_length or 0)
    assert written.is_keep_alive is head.is_keep_alive


def test_the_writer_writes_much_that_is_taken_and_much_that_is_not(http1: ModuleType) -> None:
    ends = Counter[str]()
    for seed in range(600):
        ends[read_request(http1, [MessageWriter(seed).request()]).end] += 1
        ends[read_response(http1, [MessageWriter(seed).response()]).end] += 1
    assert ends["whole"] > 500
    assert sum(ends.values()) - ends["whole"] - ends["open"] > 150
    assert {"bad_request", "malformed_answer", "chunks", "not_implemented", "version_unsupported"} <= ends.keys()
