# cython: language_level=3, boundscheck=True, wraparound=False
"""The head scan, compiled; `_head_scan_py` specifies it."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy, memset

import orjson

from ._head_scan_py import BLOCK_BYTES, MAX_BLOCKS, MAX_DEPTH as _MAX_DEPTH, MAX_DIGITS, MAX_MEMBERS
from ._sse_facts import MAX_CHOICES
from ._usage_py import read_usage as _read_usage

include "_json_string.pxi"
include "_json_value.pxi"
include "_head_scan_members.pxi"
include "_head_scan_usage.pxi"

cdef enum:
    NUM_CHOICES = 128
    WORDS_OF_BLOCK = 64
    NUM_BLOCKS = 32

if (BLOCK_BYTES, MAX_BLOCKS, _MAX_DEPTH, MAX_DIGITS, MAX_MEMBERS, MAX_CHOICES) != (
    8 * WORDS_OF_BLOCK, NUM_BLOCKS, MAX_DEPTH, MOST_DIGITS, MOST_MEMBERS, NUM_CHOICES
):
    raise ImportError("expected the bounds of _head_scan_py to be those that are compiled: build the extensions again")

cdef uint64_t _BASIS = 0xCBF29CE484222325
cdef uint64_t _PRIME = 0x9E3779B97F4A7C15
cdef object _dumps = orjson.dumps
cdef bytes _EMPTY = b""


@cython.final
@cython.freelist(64)
cdef class BodyScan:
    """What the top level of a JSON object tells that matters to a gateway. As the twin."""

    cdef readonly bytes body
    cdef readonly str model
    cdef readonly bint is_stream
    cdef readonly bint is_usage_wanted
    cdef readonly object n
    cdef readonly object max_tokens
    cdef readonly object max_completion_tokens
    cdef readonly object seed
    cdef readonly str user
    cdef Py_ssize_t _model_at
    cdef Py_ssize_t _model_end
    cdef Py_ssize_t _prompt_at  # -1: there is none
    cdef Py_ssize_t _prompt_end

    def __cinit__(self):
        self.body = _EMPTY
        self._prompt_at = -1

    def __init__(
        self, bytes body not None, str model, tuple model_span not None, *, is_stream=False, is_usage_wanted=False,
        n=None, max_tokens=None, max_completion_tokens=None, seed=None, str user=None, tuple prompt_span=None,
    ):
        self.body = body
        self.model = model
        self._model_at, self._model_end = _checked(model_span, body)
        self.is_stream = is_stream
        self.is_usage_wanted = is_usage_wanted
        self.n = n
        self.max_tokens = max_tokens
        self.max_completion_tokens = max_completion_tokens
        self.seed = seed
        self.user = user
        if prompt_span is not None:
            self._prompt_at, self._prompt_end = _checked(prompt_span, body)

    @property
    def model_span(self):
        """Where the model's JSON text stands, or may be put."""
        return self._model_at, self._model_end

    @property
    def prompt_span(self):
        """Where the prompt's JSON text stands."""
        return None if self._prompt_at < 0 else (self._prompt_at, self._prompt_end)

    @property
    def num_choices(self):
        """How many choices a whole answer has; what no service would take counts as one."""
        return self.n if self.n is not None and 1 <= self.n <= NUM_CHOICES else 1

    def with_model(self, str model not None):
        """Return the body with another model, everything else as it came. Cost: one copy."""
        cdef bytes written = _dumps(model)
        cdef Bytes text = <Bytes>PyBytes_AS_STRING(self.body)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.body)
        if self.model is None:
            is_alone = _blanks(text + self._model_at, text + size)[0] == c"}"
            written = b'"model": ' + written + (b"" if is_alone else b", ")
        return _joined(text, self._model_at, written, text + self._model_end, size - self._model_end)

    def prefix_hashes(self):
        """Return a number for each of the prompt's beginnings of 512, 1024, ... bytes, at most 32 of them."""
        cdef Bytes at
        cdef uint64_t state = _BASIS
        cdef int block, word
        cdef list hashes = []
        if self._prompt_at < 0:
            return ()
        at = <Bytes>PyBytes_AS_STRING(self.body) + self._prompt_at
        for block in range(<int>min((self._prompt_end - self._prompt_at) // (8 * WORDS_OF_BLOCK), NUM_BLOCKS)):
            for word in range(WORDS_OF_BLOCK):
                state = _mixed(state, headgate_word(at))
                at += 8
            state = _mixed(state, 0)
            hashes.append(state)
        return tuple(hashes)

    def __eq__(self, other):
        return self._fields() == (<BodyScan>other)._fields() if isinstance(other, BodyScan) else NotImplemented

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (
            "BodyScan(model={!r}, model_span={!r}, is_stream={!r}, is_usage_wanted={!r}, n={!r}, max_tokens={!r}, "
            "max_completion_tokens={!r}, seed={!r}, user={!r}, prompt_span={!r})"
        ).format(*self._fields()[1:])

    cdef tuple _fields(self):
        return (
            *(self.body, self.model, self.model_span, self.is_stream, self.is_usage_wanted, self.n, self.max_tokens),
            *(self.max_completion_tokens, self.seed, self.user, self.prompt_span),
        )


cdef tuple _checked(tuple span, bytes body):
    start, end = span
    if not 0 <= start <= end <= len(body):
        raise ValueError(f"expected a span inside {len(body)} bytes, got {start} to {end}")
    return span


cdef inline uint64_t _mixed(uint64_t state, uint64_t word) noexcept nogil:
    state = (state ^ word) * _PRIME
    return state ^ (state >> 32)


cdef bytes _joined(Bytes head, Py_ssize_t head_bytes, bytes middle, Bytes tail, Py_ssize_t tail_bytes):
    cdef Py_ssize_t middle_bytes = PyBytes_GET_SIZE(middle)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, head_bytes + middle_bytes + tail_bytes)
    cdef char *at = PyBytes_AS_STRING(whole)
    memcpy(at, head, head_bytes)
    memcpy(at + head_bytes, PyBytes_AS_STRING(middle), middle_bytes)
    memcpy(at + head_bytes + middle_bytes, tail, tail_bytes)
    return whole


def scan_head(bytes body not None):
    """Read the top level of a JSON object, all of which is checked, in one pass. None where anything is odd."""
    cdef Found found
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(body)
    if not _read_body(text, text + PyBytes_GET_SIZE(body), &found):
        return None
    return _scan_of(body, text, &found)


def read_usage(bytes body not None):
    """Return the `prompt_tokens` and `completion_tokens` of a JSON answer's `usage`. As the twin, which is asked where
    anything is odd."""
    cdef Usage usage
    cdef Bytes text = <Bytes>PyBytes_AS_STRING(body)
    if not _read_answer(text, text + PyBytes_GET_SIZE(body), &usage):
        return _read_usage(body)
    return (
        usage.prompt_tokens if usage.prompt_tokens >= 0 else None,
        usage.completion_tokens if usage.completion_tokens >= 0 else None,
    )


cdef BodyScan _scan_of(bytes body, Bytes text, Found *found):
    cdef BodyScan scan = BodyScan.__new__(BodyScan)
    cdef Text *prompt = &found.messages if found.messages.at != NULL else &found.prompt
    scan.body = body
    if found.told & MODEL:
        scan.model = _str(&found.model)
        scan._model_at = found.model.at - 1 - text
        scan._model_end = scan._model_at + found.model.size + 2
    else:
        scan._model_at = scan._model_end = <Bytes>memchr(text, c"{", PyBytes_GET_SIZE(body)) + 1 - text
    scan.is_stream = found.is_stream
    scan.is_usage_wanted = found.is_usage_wanted
    scan.n = found.n if found.told & CHOICES else None
    scan.max_tokens = found.max_tokens if found.told & TOKENS else None
    scan.max_completion_tokens = found.max_completion_tokens if found.told & COMPLETION_TOKENS else None
    scan.seed = found.seed if found.told & SEED else None
    scan.user = _str(&found.user) if found.told & USER else None
    if prompt.at != NULL:
        scan._prompt_at = prompt.at - text
        scan._prompt_end = scan._prompt_at + prompt.size
    return scan


cdef inline str _str(Text *text):
    return PyUnicode_DecodeUTF8(<const char *>text.at, text.size, NULL)
