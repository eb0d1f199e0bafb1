"""Every request that was seen, and what became of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .asked import Asked
from .incoming import Incoming

MAX_REQUESTS = 10_000
MAX_PREFILL_CHARACTERS = 4096
_MAX_CHARACTERS = 200

_FIELDS = (b"x-request-id", b"x-headgate-deadline-ms", b"last-event-id")


@dataclass(slots=True)
class Peer:
    """A connection, from 1 on. `end` says who ended it; instants are in seconds since the upstream started."""

    number: int
    opened_s: float
    num_requests: int = 0
    end: str | None = None
    end_s: float | None = None

    def ended(self, end: str, now: float) -> None:
        """Remember its end; the first word counts."""
        if self.end is None:
            self.end, self.end_s = end, now


@dataclass(slots=True)
class Seen:
    """A request. `fault` is the spec that met it, `done` how its answer ended; both are None while unknown."""

    number: int
    at_s: float
    peer: Peer
    on_connection: int
    method: str
    path: str
    fields: dict[str, str | None]
    model: str | None = None
    is_stream: bool = False
    prefill: str | None = None
    num_prefill_characters: int = 0
    fault: str | None = None
    status: int | None = None
    num_tokens: int = 0
    num_body_bytes: int = 0
    done: str | None = None
    done_s: float | None = None

    def asks(self, asked: Asked) -> None:
        """Note what it asks for."""
        self.model = None if asked.model is None else asked.model[:_MAX_CHARACTERS]
        self.is_stream = asked.is_stream
        if asked.prefill is not None:
            self.prefill = asked.prefill[:MAX_PREFILL_CHARACTERS]
            self.num_prefill_characters = len(asked.prefill)

    def ends(self, done: str, now: float) -> None:
        """Note how its answer ended; the first word counts."""
        if self.done is None:
            self.done, self.done_s = done, now

    def shown(self) -> dict[str, object]:
        """Return it as `GET /requests` shows it."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 6),
            "connection": self.peer.number,
            "on_connection": self.on_connection,
            "method": self.method,
            "path": self.path,
            "model": self.model,
            "stream": self.is_stream,
            **self.fields,
            "prefill": self.prefill,
            "prefill_characters": self.num_prefill_characters,
            "fault": self.fault,
            "status": self.status,
            "tokens": self.num_tokens,
            "body_bytes": self.num_body_bytes,
            "done": self.done,
            "done_s": _rounded(self.done_s),
            "end": self._end(),
            "end_s": _rounded(self.peer.end_s),
        }

    def _end(self) -> str | None:
        if self.peer.end is None or self.peer.end_s is None:
            return None
        return f"{self.peer.end} after {self.peer.end_s - self.at_s:.2f} s"


def _rounded(instant_s: float | None) -> float | None:
    return None if instant_s is None else round(instant_s, 6)


@dataclass(slots=True)
class Journal:
    """The last requests; older ones are forgotten and only counted."""

    num_seen: int = 0
    num_cleared: int = 0
    requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))

    def add(self, request: Incoming, peer: Peer, now: float) -> Seen:
        """Note a request."""
        self.num_seen += 1
        peer.num_requests += 1
        fields = {name.decode(): _short(request.field(name)) for name in _FIELDS}
        path = request.path[:_MAX_CHARACTERS]
        method = request.method[:_MAX_CHARACTERS]
        seen = Seen(self.num_seen, now, peer, peer.num_requests, method, path, fields)
        self.requests.append(seen)
        return seen

    def clear(self) -> None:
        """Forget every request; numbers go on."""
        self.requests.clear()
        self.num_cleared = self.num_seen

    def shown(self, after: int = 0) -> dict[str, object]:
        """Return the requests with numbers above `after`, and how many were forgotten for want of room."""
        kept = [seen.shown() for seen in self.requests if seen.number > after]
        return {"requests": kept, "forgotten": self.num_seen - self.num_cleared - len(self.requests)}


def _short(value: str | None) -> str | None:
    return None if value is None else value[:_MAX_CHARACTERS]
