"""What one dispatch is to do, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ...ext.http1 import ResponseHead
from ..exchange.plan import Plan
from ..exchange.progress import Progress
from ..verdicts import Target
from .attempt import OutgoingHead
from .cluster import Cluster, Member
from .continuation import Continuation, Prefill
from .sender import BodySource


class RequestWriter(Protocol):
    """Writes the request for a target and endpoint; with a continuation the one that asks for the rest."""

    def __call__(
        self, target: Target, cluster: Cluster, member: Member, continuation: Continuation | Prefill | None
    ) -> tuple[OutgoingHead, BodySource]:
        """Return head and body."""


@dataclass(slots=True)
class Work:
    """What is to be sent, and where.

    `new_progress` makes what follows the event stream of an inference answer; None: nobody does. `is_body_whole`: the
    request's body is there and can be sent twice. `tokens_allowed`: how many tokens an answer may have that is to go on
    from its text, 0 where none is. `is_usage_wanted`: the client asked for the usage at the end of a stream.
    `is_hurried`: the client gave less time than the route would.
    """

    plan: Plan
    targets: tuple[Target, ...]
    clusters: Mapping[str, Cluster]
    request_for: RequestWriter
    new_progress: Callable[[], Progress] | None = None
    is_body_whole: Callable[[], bool] = bool
    tokens_allowed: Callable[[], float] = float
    is_usage_wanted: bool = False
    is_hurried: bool = False
    on_informational: Callable[[ResponseHead], None] | None = None


@dataclass(slots=True, init=False)  # with defaults that are made anew, an `__init__` of its own takes twice as long
class Served:
    """Who answered, who was to be asked first, and what it took; filled in while the exchange runs.

    `is_prefilled`: from some point on the answer goes on from its text alone. `ends` says of each attempt that was
    begun, by its number in the exchange, at which target it was and how it ended; each has one end. `failures` tells
    why.
    """

    target: Target | None
    preferred: Target | None
    num_resumes: int
    is_fallback: bool
    is_prefilled: bool
    failures: list[tuple[str, str]]
    ends: dict[int, tuple[str, str]]
    progress: Progress | None

    def __init__(self) -> None:
        self.target = self.preferred = self.progress = None
        self.num_resumes = 0
        self.is_fallback = self.is_prefilled = False
        self.failures = []
        self.ends = {}

    @property
    def num_attempts(self) -> int:
        """How many attempts were begun."""
        return len(self.ends)
