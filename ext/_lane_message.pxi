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
    cdef public object now, route, params, identity, model, models, groups, call
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
    cdef dict methods
    cdef Kinds of_requests, of_answers

    def __cinit__(self, settings, classes, now, kinds, methods):
        self.settings = settings
        self.fields_class, self.unmatched, self.priority = classes
        self.now = now
        self.of_requests, self.of_answers = Kinds(kinds[0]), Kinds(kinds[1])
        self.methods = {method.encode(): method for method in methods}
        limits = settings.head_limits
        self.limits.line_bytes = limits.max_line_bytes
        self.limits.head_bytes = limits.max_head_bytes
        self.limits.num_fields = limits.max_fields


cdef enum FieldKind:
    KEPT  # travels on
    DROPPED  # of one connection, or ours to say
    CHAINED  # Via: ours follows it
    TOLD_ID  # x-request-id
    TOLD_TRACE  # traceparent
    WISH  # x-headgate-…, of a client

cdef enum:
    MAX_KINDS = 1024  # names that are remembered; of any more each is judged anew


@cython.final
cdef class Kinds:
    """What becomes of fields, by their names as they are written."""

    cdef object _judge
    cdef dict _known

    def __cinit__(self, judge):
        self._judge = judge
        self._known = {}

    cdef int of(self, bytes name) except -1:
        known = self._known.get(name)
        if known is None:
            known = self._judge(name.lower())
            if len(self._known) < MAX_KINDS:
                self._known[name] = known
        return known


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
    cdef Span member, rest
    cdef int place
    if head.minor != 1 or head.num_codings or head.expects_continue or head.has_upgrade:
        return False
    for place in range(head.num_fields):
        if head.fields[place].known == CONNECTION:
            rest = head.fields[place].value
            while _next_member(&rest, &member):
                if not (_is_word(&member, b"close", 5) or _is_word(&member, b"keep-alive", 10)):
                    return False
    return True


cdef Arrived _arrive(bytes data, Py_ssize_t size, Facts facts, str peer, str scheme):
    """Read the whole head at the beginning of `data`; None for one that the reference path is to read."""
    cdef Head head
    cdef Arrived arrived
    if not _read_request(<Octets>PyBytes_AS_STRING(data), size, &facts.limits, &head) or not _is_plain(&head):
        return None
    method = facts.methods.get(_bytes(&head.method))
    if method is None:
        return None
    arrived = Arrived.__new__(Arrived)
    arrived.size = size
    arrived.length = max(0, head.content_length)
    arrived.is_kept = _is_kept(&head)
    arrived.exchange = _new_exchange(&head, facts, arrived)
    _fill_request(arrived.exchange.request, &head, method)
    arrived.exchange.request.peer = arrived.exchange.request.client = peer
    arrived.exchange.request.scheme = scheme
    return arrived


cdef Exchange _new_exchange(Head *head, Facts facts, Arrived arrived):
    cdef Exchange exchange = Exchange.__new__(Exchange)
    exchange.request = Request.__new__(Request)
    exchange.request.fields = fields = facts.fields_class.__new__(facts.fields_class)
    fields.raw = _raw_fields(head, facts.of_requests, arrived)
    exchange.now = facts.now
    exchange.route = facts.unmatched
    exchange.asked_priority = exchange.priority = facts.priority
    exchange.deadline = float("inf")
    exchange.params = exchange.models = _NOTHING
    exchange.groups = ()
    exchange.state = {}
    exchange.extra = {}
    exchange.request_id = _new_id() if arrived.told_id is None else ""
    if arrived.told_trace is None:
        exchange.traceparent = _new_traceparent()
        exchange.trace_id = exchange.traceparent[3:35]
    return exchange

cdef dict _NOTHING = {}
cdef tuple _VERSION = (1, 1)


cdef void _fill_request(Request request, Head *head, str method) except *:
    cdef Span path = head.target
    cdef Octets mark = <Octets>memchr(path.at, c"?", path.size)
    request.method = method
    request.version = _VERSION
    request.host = _text(&head.host)
    request.target = _text(&head.target)
    request.query = ""
    request.path = request.target
    if mark != NULL:
        path.size = mark - path.at
        request.path = _text(&path)
        request.query = PyUnicode_DecodeLatin1(<const char *>mark + 1, head.target.size - path.size - 1, NULL)


cdef list _raw_fields(Head *head, Kinds kinds, Arrived arrived):
    cdef list raw = []
    cdef int place, kind
    cdef bytes name, value
    for place in range(head.num_fields):
        name, value = _bytes(&head.fields[place].name), _bytes(&head.fields[place].value)
        raw.append((name, value))
        kind = kinds.of(name)
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
