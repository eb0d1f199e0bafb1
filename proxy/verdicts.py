"""What a stage may answer: the return types of the hooks.

What cannot be meant is refused when it is made, that is inside the plugin, whose failure it then is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from .errors import KINDS, GatewayError
from .exchange.fields import check_pairs
from .exchange.message import Response
from .exchange.priority import PRIORITIES

if TYPE_CHECKING:
    from .exchange.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `key_id` names the credential and is safe to log; the tenant owns caches and quotas.

    `models` and `routes` are what the identity may use, by name, where a trailing `*` stands for any ending;
    None allows all. `max_priority` caps what the client may ask for in `x-headgate-priority`.
    """

    key_id: str
    tenant: str
    scopes: frozenset[str] = frozenset()
    models: tuple[str, ...] | None = None
    routes: tuple[str, ...] | None = None
    max_priority: str = "default"

    def __post_init__(self) -> None:
        if not (isinstance(self.key_id, str) and isinstance(self.tenant, str)):
            raise TypeError(f"expected `key_id` and `tenant` as text, got {_kinds(self.key_id, self.tenant)}")
        if not isinstance(self.scopes, frozenset | set):
            raise TypeError(f"expected `scopes` as names in a frozenset, got {_kinds(self.scopes)}")
        for what, names in (("models", self.models), ("routes", self.routes)):
            if not (names is None or isinstance(names, tuple | list)):  # a text would be one name for each character
                raise TypeError(f"expected `{what}` as names in a tuple, or None, got {_kinds(names)}")
        if self.max_priority not in PRIORITIES:
            wanted = ", ".join(PRIORITIES)
            raise ValueError(f"expected `max_priority` to be one of {wanted}, got {self.max_priority!r}")

    def may_use_model(self, model: str) -> bool:
        """Whether `model` is among the models of this identity."""
        return _allows(self.models, model)

    def may_use_route(self, route: str) -> bool:
        """Whether `route` is among the routes of this identity."""
        return _allows(self.routes, route)


def _allows(patterns: tuple[str, ...] | None, name: str) -> bool:
    if patterns is None:
        return True
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def _kinds(*values: object) -> str:
    return " and ".join(type(value).__name__ for value in values)


def _check_fields(fields: tuple[tuple[str, str], ...]) -> None:
    if not isinstance(fields, tuple | list):
        raise TypeError(f"expected pairs of a field's name and value, got {_kinds(fields)}")
    check_pairs(fields)


@dataclass(frozen=True, slots=True)
class Reject:
    """End the exchange with an error of the table in `errors.py`.

    `message` is shown to the client; `detail` goes to the log; `fields` are added to the answer.
    """

    kind: str
    message: str = ""
    detail: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = difflib.get_close_matches(str(self.kind), KINDS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise ValueError(f"expected a kind of docs/errors.md, got {self.kind!r}{hint}")
        if not (isinstance(self.message, str) and isinstance(self.detail, str)):
            raise TypeError(f"expected `message` and `detail` as text, got {_kinds(self.message, self.detail)}")
        if self.fields:
            _check_fields(self.fields)


# How a service is told to go on with the assistant's last message: by members of the request, by one of the message
# (the answer then goes on, or says the message once more first), or by nothing else.
CHAT_PATH = "/chat/completions"  # how the paths of requests end whose answers can be continued from their text
PrefillStyle = Literal["continue_final_message", "prefix", "echoed_prefix", "plain"]


@dataclass(frozen=True, slots=True)
class Target:
    """One place that can answer: a cluster, and the model to ask it for (None: as the client wrote it).

    `context` is the longest prompt that it declares to take, in tokens; `prefill` how it declares to continue an answer
    that broke off.
    """

    cluster: str
    model: str | None = None
    weight: int = 1
    context: int | None = None
    prefill: PrefillStyle | None = None
    name: str = field(init=False, repr=False, compare=False)
    """How logs, metrics and `x-headgate-target` call it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.cluster if self.model is None else f"{self.cluster}/{self.model}")


@dataclass(frozen=True, slots=True)
class Route:
    """The targets to try: groups in order, picked by weight inside a group."""

    groups: tuple[tuple[Target, ...], ...]
    model: str | None = None

    def __post_init__(self) -> None:
        for group in self.groups:
            if isinstance(group, Target):
                raise TypeError("expected groups of `Target`, got Target in place of a group")
            for target in group:
                if not isinstance(target, Target):
                    raise TypeError(f"expected groups of `Target`, got {_kinds(target)} in a group")


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an exchange ended, for whoever reserved something for it.

    `is_hit`: a cache gave the answer. `is_sent`: a service may have seen the request. `num_events`: how many events of
    an inference stream have come that carry a piece of the answer; None where it is no such stream.
    """

    status: int
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    is_client_gone: bool
    is_hit: bool = False
    is_sent: bool = False
    num_events: int | None = None


class StreamUsage(Protocol):
    """What a stream has come to: events with a piece of the answer, and tokens as the service last told them."""

    @property
    def num_events(self) -> int:
        """How many events carried a piece of the answer."""

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of what was asked."""

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of what was answered."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Something taken for this exchange. `settle` is called exactly once, on every way out; it must not block.

    `fields` are added to the answer (for example RateLimit). `meter` is shown what a stream of events that a target
    gives has come to with each of its events, before that is passed on. A Reject ends the stream in place of the event.
    It must not block; where it fails the stream ends, too.
    """

    settle: Callable[[Settlement], None] | None = None
    fields: tuple[tuple[str, str], ...] = ()
    meter: Callable[[StreamUsage], Reject | None] | None = None

    def __post_init__(self) -> None:
        if not (self.settle is None or callable(self.settle)):
            raise TypeError(f"expected `settle` to be a function or None, got {_kinds(self.settle)}")
        if self.fields:
            _check_fields(self.fields)


class Store(Protocol):
    """Where a cache wants to see the answer it missed. Fed by a bounded tap."""

    def begin(self, response: Response) -> bool:
        """See the head (status and fields); return whether the body is wanted."""

    def write(self, piece: bytes) -> bool:
        """Take a piece of the body; return False to see no more of it."""

    def commit(self) -> None:
        """The answer was complete, and the primary target gave it."""

    def discard(self) -> None:
        """The answer was cut, too large, or given by a fallback."""


class Companions(Protocol):
    """Who else wants the answer to a Miss, and gets it from its store while it comes.

    The exchange that fetches it does not wait for a slow client while `is_hurried`; a client that is behind by more
    than `max_behind_bytes` while others wait is given up. It goes on without its client while `are_waiting`.
    """

    @property
    def are_waiting(self) -> bool:
        """Whether anybody wants the rest."""

    @property
    def is_hurried(self) -> bool:
        """Whether the client is not to be waited for; to be true only while what may pile up has a bound."""

    @property
    def max_behind_bytes(self) -> int:
        """How much the client may have left unread."""

    def left(self, stop: Callable[[], None]) -> None:
        """The client is gone: `stop` is to be called, from the loop, once nobody wants the rest any more."""

    def completed(self) -> None:
        """The whole body has come, whoever gave it; `commit` or `discard` of the store follows at once."""


@dataclass(slots=True)  # not frozen, as it is made for one exchange: that would take three times as long
class Hit:
    """Answer from the cache. `status` stands in `x-headgate-cache` and the log.

    `behind` says what is to be fetched meanwhile, for nobody but its store: it is called once, with an exchange of its
    own for the same request, and may set conditions there. Not called where too many are fetched so.
    """

    response: Response
    status: str = "hit"
    behind: Callable[[Exchange], Miss | None] | None = None


@dataclass(slots=True)
class Miss:
    """Not in the cache; `store` (if any) wants to see the answer. `status` is told as that of a `Hit`; None: it is not.

    Exactly one of `store.commit` and `store.discard` is called, on every way out. `revise` has the last word: it is
    shown the answer, or the error that stands for it, before anything else sees it. A Hit is given in its place; a Miss
    means to ask once more, with the request as it is now, which must have no body; None lets it be. `companions` want
    the same answer: the exchange goes on for them, though its client leaves.
    """

    store: Store | None = None
    status: str | None = "miss"
    revise: Callable[[Response | GatewayError], Hit | Miss | None] | None = None
    companions: Companions | None = None


@dataclass(slots=True)  # not frozen: to make one would cost several times as much, on every exchange
class Outcome:
    """What the log stage sees: one exchange, ended. It is read only.

    `failures`: attempts that came to nothing, as (target, reason). `is_streamed`: the answer was an event stream.
    `preferred`: the target that the route would have asked first. `ends`: how each attempt ended, as (target, outcome):
    `answered`, the name of an error, `status` with a number, or `abandoned`.
    """

    status: int
    error: str | None
    detail: str
    target: str | None
    attempts: int
    is_fallback: bool
    cache: str | None
    received_bytes: int
    sent_bytes: int
    duration_s: float
    first_byte_s: float | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    is_client_gone: bool
    failures: tuple[tuple[str, str], ...] = ()
    is_streamed: bool = False
    preferred: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[tuple[str, str], ...] = ()
