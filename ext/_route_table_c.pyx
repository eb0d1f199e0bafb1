# cython: language_level=3, boundscheck=True, wraparound=False
"""The route table, its look-up compiled; `_route_table_py` specifies it."""

from cpython.object cimport PyObject_GenericSetAttr, PyTypeObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_Split

from ._path import normalize_path as _normalize_path
from ._route_spec import MAX_HOST_CHARACTERS, Match, host_key
from ._route_table_py import RouteTable as Twin

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const unsigned char *PyUnicode_1BYTE_DATA(object text)
    object PyType_GenericAlloc(PyTypeObject *type, Py_ssize_t nitems)  # Cython's own declaration takes any object

cdef Py_ssize_t _MAX_HOST_CHARACTERS = MAX_HOST_CHARACTERS
cdef object _MATCH = Match
cdef unsigned char[0x80] _IS_PLAIN  # by character: one that stands for itself wherever it is, but for slash and dot
for _code in range(0x80):
    _IS_PLAIN[_code] = 0x20 < _code < 0x7F and chr(_code) not in "%#?\\"


cdef class RouteTable:
    """Finds the route of a request. Immutable: the constructor's work is done once, by __cinit__."""

    cdef object _twin
    cdef dict _exact
    cdef dict _suffixes
    cdef tuple _any_host
    cdef Py_ssize_t _max_split

    def __cinit__(self, specs):
        self._twin = Twin(specs)
        trees = self._twin._trees
        self._exact = trees.exact
        self._suffixes = trees.suffixes
        self._any_host = tuple(trees.any_host)
        self._max_split = trees.num_segments + 1

    def match(self, str host not None, str path not None, method, headers):
        """Find the route of a request, or None. Cost: as the twin's."""
        cdef str normal = path if _is_plain(path) else _normalize_path(path)
        cdef list segments
        if normal is None:
            return None
        segments = PyUnicode_Split(normal, "/", self._max_split)
        route = self._find(host, segments, method, headers)
        if route is None:
            return None
        return _make_match(<tuple>route, segments if normal is path else PyUnicode_Split(path, "/", self._max_split))

    def allowed_methods(self, str host not None, str path not None):
        """Collect the methods of all routes that match by host and path, whatever fields they ask for."""
        return self._twin.allowed_methods(host, path)

    def shadowed(self):
        """List (unreachable route, the route that wins all its requests) by position, sorted."""
        return self._twin.shadowed()

    cdef object _find(self, str host, list segments, method, headers):
        if self._exact or self._suffixes:
            route = self._find_by_name(host_key(host) if _needs_folding(host) else host, segments, method, headers)
            if route is not None:
                return route
        return _walk(self._any_host, segments, 1, method, headers)

    cdef object _find_by_name(self, str name, list segments, method, headers):
        cdef Py_ssize_t dot
        tree = self._exact.get(name)
        if tree is not None:
            route = _walk(<tuple>tree, segments, 1, method, headers)
            if route is not None:
                return route
        if not self._suffixes or len(name) > _MAX_HOST_CHARACTERS:
            return None
        dot = name.find(".", 1)
        while dot > 0:
            tree = self._suffixes.get(name[dot:])
            if tree is not None:
                route = _walk(<tuple>tree, segments, 1, method, headers)
                if route is not None:
                    return route
            dot = name.find(".", dot + 1)
        return None


def normalize_path(str raw not None):
    """Return the normal form of a raw path, or None where it is refused. As `_path` says; one pass where it is plain."""
    return raw if _is_plain(raw) else _normalize_path(raw)


cdef bint _is_plain(str path) noexcept:
    """Whether `path` is surely its own normal form. False decides nothing: _normalize_path is asked."""
    cdef const unsigned char *at
    cdef const unsigned char *end
    if not PyUnicode_IS_COMPACT_ASCII(path):
        return False
    at = PyUnicode_1BYTE_DATA(path)
    end = at + PyUnicode_GET_LENGTH(path)  # where a NUL stands, which is not plain
    if at[0] != c"/":
        return False
    while _IS_PLAIN[at[0]]:
        if at[0] == c"/" and (at[1] == c"/" or at[1] == c"."):
            return False
        at += 1
    return at == end


cdef bint _needs_folding(str host) noexcept:
    cdef Py_UCS4 character = 0
    for character in host:
        if character == c":" or character > 0x7F or c"A" <= character <= c"Z":
            return True
    return character == c"."


cdef object _walk(tuple node, list segments, Py_ssize_t position, method, headers):
    """Return the first route below `node` that accepts the request, or None. Depth: that of the longest pattern."""
    cdef dict literals = <dict>node[0]
    if position == len(segments):
        return _pick(<tuple>node[3], method, headers)
    segment = segments[position]
    child = literals.get(segment)
    if child is not None:
        route = _walk(<tuple>child, segments, position + 1, method, headers)
        if route is not None:
            return route
    child = node[1]
    if child is not None and <str>segment != "":
        route = _walk(<tuple>child, segments, position + 1, method, headers)
        if route is not None:
            return route
    return _pick(<tuple>node[2], method, headers)


cdef object _pick(tuple routes, method, headers):
    for route in routes:
        if _accepts(<frozenset>(<tuple>route)[2], <tuple>(<tuple>route)[3], method, headers):
            return route
    return None


cdef bint _accepts(frozenset methods, tuple wanted, method, headers) except -1:
    if methods and method not in methods:
        return False
    for field in wanted:
        if not _has_field(field, headers.get(field.name)):
            return False
    return True


cdef bint _has_field(field, value) except -1:
    cdef str kind = field.kind
    if value is None:
        return kind == "absent"
    if kind == "exact":
        return value == field.value
    if kind == "prefix":
        return (<str?>value).startswith(field.value)
    return kind == "present"


cdef object _make_match(tuple route, list segments):
    cdef dict params = {}
    cdef tuple pair
    cdef Py_ssize_t position
    for pair in <tuple>route[4]:
        position = pair[1]
        params[pair[0]] = segments[position]
    if route[5] is not None:
        pair = route[5]
        position = pair[1]
        params[pair[0]] = "/".join(segments[position:])
    # A frozen dataclass sets its slots through object.__setattr__, which costs more than the whole look-up.
    match = PyType_GenericAlloc(<PyTypeObject *>_MATCH, 0)
    PyObject_GenericSetAttr(match, "name", route[1])
    PyObject_GenericSetAttr(match, "index", route[0])
    PyObject_GenericSetAttr(match, "params", params)
    return match
