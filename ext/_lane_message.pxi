# Requests and exchanges as stages see them: what the classes of the reference path hold, cheaper to make.

@cython.final
@cython.freelist(64)
cdef class Request:
    """What the client asked; as the reference path's."""

    cdef public str method, target, path, query, host, scheme, peer, client
    cdef public object fields, body
    cdef public tuple version
    cdef public bint is_upgrade


@cython.final
@cython.freelist(64)
cdef class Exchange:
    """One request with its response; as the reference path's."""

    cdef public Request request
    cdef public object now, route, params, identity, model, body_scan, models, groups, call
    cdef public object asked_priority, priority
    cdef public str request_id, trace_id, traceparent
    cdef public double deadline
    cdef public bint is_fallback_off, is_hurried
    cdef public dict state, extra


@cython.final
cdef class Facts:
    """What is the same for every request of one listener, and the classes to make exchanges with.

    `kinds` says of the name of a field, in lower case, what becomes of it (see FieldKind), for requests and for
    answers; `methods` are those that are taken.
    """

    cdef readonly object fields_class, now, unmatched, priority, settings
    cdef Limits limits
    cdef list methods  # of pairs: as they are written, and as text
    cdef Kinds of_requests, of_answers
    cdef str _host, _target, _path  # of the last request: most are the same, and need no new object

    def __cinit__(self, settings, classes, now, kinds, methods):
        self.settings = settings
        self.fields_class, self.unmatched, self.priority = classes
        if not isinstance(self.fields_class, type):
            raise TypeError(f"expected the class of fields, got {self.fields_class!r}")
        self.now = now
        self.of_requests, self.of_answers = Kinds(kinds[0]), Kinds(kinds[1])
        self.methods = [(method.encode(), method) for method in methods]
        limits = settings.head_limits
        self.limits.line_bytes = limits.max_line_bytes
        self.limits.head_bytes = limits.max_head_bytes
        self.limits.num_fields = limits.max_fields


@cython.final
cdef class Arrived:
    """A request whose head was taken: what becomes of the connection, and what has to be looked at more closely."""

    cdef readonly Exchange exchange
    cdef readonly Py_ssize_t size  # of the head
    cdef readonly long long length  # of the body
    cdef readonly bint is_kept
    cdef readonly bint is_telling  # it has any of these:
    cdef readonly bint has_wishes
    cdef readonly str told_id
    cdef readonly str told_trace


cdef bint _is_plain(Head *head) except -1:
    """Whether nothing about a head is for the reference path."""
    cdef int place
    if head.minor != 1 or head.num_codings or head.expects_continue or head.has_upgrade:
        return False
    for place in range(head.num_fields):
        if not _is_plain_field(&head.fields[place]):
            return False
    return True


cdef bint _is_plain_field(Field *field) noexcept nogil:
    """Whether a field neither says that others are of this connection alone, nor can be one of those."""
    cdef Span member, rest = field.value
    while field.known == CONNECTION and _next_member(&rest, &member):
        if not (_is_word(&member, b"close", 5) or _is_word(&member, b"keep-alive", 10)):
            return False
    return not _is_word(&field.name, b"close", 5)  # Keep-Alive is dropped in any case


cdef Arrived _arrive(Head *head, Facts facts, str peer, str scheme):
    """Take a request whose head was read; None for one that the reference path is to read."""
    cdef Arrived arrived
    cdef str method = _method_of(&head.method, facts.methods)
    if method is None or not _is_plain(head):
        return None
    arrived = Arrived.__new__(Arrived)
    arrived.size = head.size
    arrived.length = max(0, head.content_length)
    arrived.is_kept = _is_kept(head)
    arrived.exchange = _new_exchange(head, facts, arrived)
    _fill_request(arrived.exchange.request, head, facts)
    arrived.exchange.request.method = method
    arrived.exchange.request.peer = arrived.exchange.request.client = peer
    arrived.exchange.request.scheme = scheme
    return arrived


cdef str _method_of(Span *written, list methods):
    for pair in methods:
        if _is_same(_name_of(pair), written):
            return <str>PyTuple_GET_ITEM(pair, 1)
    return None


cdef Exchange _new_exchange(Head *head, Facts facts, Arrived arrived):
    cdef Exchange exchange = Exchange.__new__(Exchange)
    exchange.request = Request.__new__(Request)
    exchange.request.fields = fields = PyType_GenericAlloc(<PyTypeObject *>facts.fields_class, 0)
    PyObject_GenericSetAttr(fields, "raw", _raw_fields(head, facts.of_requests, arrived))
    exchange.now = facts.now
    exchange.route = facts.unmatched
    exchange.asked_priority = exchange.priority = facts.priority
    exchange.deadline = INFINITY
    exchange.params = exchange.models = _NOTHING
    exchange.groups = ()
    exchange.state = {}
    exchange.extra = {}
    exchange.request_id = _new_id() if arrived.told_id is None else ""
    if arrived.told_trace is None:
        _begin_trace(exchange)
    return exchange

cdef dict _NOTHING = {}
cdef tuple _VERSION = (1, 1)


cdef int _fill_request(Request request, Head *head, Facts facts) except -1:
    cdef Span path = head.target
    cdef Octets mark = <Octets>memchr(path.at, c"?", path.size)
    request.version = _VERSION
    request.host = facts._host = _text_again(&head.host, facts._host)
    request.target = facts._target = _text_again(&head.target, facts._target)
    request.query = ""
    request.path = request.target
    if mark != NULL:
        path.size = mark - path.at
        request.path = facts._path = _text_again(&path, facts._path)
        request.query = PyUnicode_DecodeLatin1(<const char *>mark + 1, head.target.size - path.size - 1, NULL)
    return 0


cdef list _raw_fields(Head *head, Kinds kinds, Arrived arrived):
    cdef list raw = []
    cdef int place, kind = KEPT
    cdef bytes name, value
    for place in range(head.num_fields):
        name, value = kinds.of(&head.fields[place].name, &kind), _bytes(&head.fields[place].value)
        raw.append((name, value))
        if kind == KEPT:
            continue
        if kind == WISH:
            arrived.has_wishes = arrived.is_telling = True
        elif kind == TOLD_ID:
            arrived.told_id = _joined_text(arrived.told_id, value)
            arrived.is_telling = True
        elif kind == TOLD_TRACE:
            arrived.told_trace = _joined_text(arrived.told_trace, value)
            arrived.is_telling = True
    return raw


cdef str _joined_text(str before, bytes value):
    text = value.decode("latin-1")
    return text if before is None else f"{before}, {text}"
