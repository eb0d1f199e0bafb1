"""What the upstream does with each request: the script, the settings, and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .answer import Answer, error_value, json_answer
from .asked import Asked, AskedError, read_asked
from .framing import Delivery
from .incoming import Incoming
from .journal import Journal, Peer, Seen
from .script import Script
from .settings import Settings
from .shaping import asked_error_answer, completion_answer, refusal
from .spec import Spec, SpecError, parse
from .steps import Step, steps

_INVALID = "invalid_request_error"
_COMPLETIONS = {"/v1/chat/completions": True, "/v1/completions": False}  # whether it is a chat
_PLAIN = ("/v1/models", "/health")


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request is answered. `seen` is its place in the journal, which calls to the control paths have not."""

    status: int
    steps: Iterator[Step]
    seen: Seen | None = None


class Injector:
    """Answers requests, well or as the fault in force says. `clock` gives seconds since the start."""

    def __init__(self, settings: Settings, specs: Sequence[Spec], clock: Callable[[], float]) -> None:
        self.clock = clock
        self.settings = settings
        self.first_settings = settings
        self.script = Script(script_of(specs), clock())
        self.journal = Journal()
        self.counts: Counter[str] = Counter()
        self._refused_until_s = 0.0

    def refuses_until(self, now: float) -> float | None:
        """Return until when nothing is listened to; None where it is."""
        spec = self.script.current(now)
        ends_s = self.script.ends_at() if spec is not None and spec.kind == "refuse" else None
        until_s = max(self._refused_until_s, ends_s or 0.0)
        return until_s if until_s > now else None

    def begin(self, specs: Sequence[Spec]) -> None:
        """Begin a script, and count anew. Raises: SpecError."""
        self.script = Script(script_of(specs), self.clock())
        self.counts.clear()

    def reply(self, request: Incoming, peer: Peer) -> Reply:
        """Answer a request that is none of the control's."""
        seen = self.journal.add(request, peer, self.clock())
        try:
            asked = self._asked(request)
            if asked is not None:
                seen.asks(asked)
            spec = self._fault(request, asked is not None)
        except AskedError as error:
            return self._sent(request, seen, asked_error_answer(error), None)
        except SpecError as error:
            answer = json_answer(error_value(f"x-fault: {error}", _INVALID, None, "x-fault"), 400)
            return self._sent(request, seen, answer, None)
        self.counts["well" if spec is None else spec.kind] += 1
        if spec is not None and spec.kind == "refuse":
            self._refused_until_s = max(self._refused_until_s, self.clock() + spec.duration_s)
        return self._sent(request, seen, self._answer(request, asked, spec, seen.number), spec)

    def _asked(self, request: Incoming) -> Asked | None:
        """Return what a completion request asks for; None for any other. Raises: AskedError."""
        is_chat = _COMPLETIONS.get(request.path)
        if is_chat is None or request.method != "POST":
            return None
        return read_asked(request.body, is_chat=is_chat)

    def _fault(self, request: Incoming, is_completion: bool) -> Spec | None:
        """Return what is to go wrong: the request's own fault, else the script's. Raises: SpecError."""
        text = request.field(b"x-fault")
        if text is None:
            return self.script.take(self.clock(), is_completion)
        spec = parse(text)
        if spec.times is not None or spec.for_ms is not None:
            raise SpecError("got times or for, wanted neither: the fault is for this request")
        if spec.at is not None and spec.at != self.settings.name:
            return None
        return spec

    def _answer(self, request: Incoming, asked: Asked | None, spec: Spec | None, number: int) -> Answer:
        if asked is not None:
            return completion_answer(asked, self.settings, spec, number)
        if spec is not None and (refused := refusal(spec, None)) is not None:
            return refused
        if request.path in _COMPLETIONS:
            return _method_not_allowed(b"POST")
        if request.path not in _PLAIN:
            paths = ", ".join((*_COMPLETIONS, *_PLAIN))
            return json_answer(error_value(f"nothing is here; there is {paths}", _INVALID, "not_found"), 404)
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed(b"GET, HEAD")
        if request.path == "/health":
            return json_answer({"status": "ok", "name": self.settings.name})
        model = {"id": self.settings.name, "object": "model", "created": 1_700_000_000, "owned_by": "fault-upstream"}
        return json_answer({"object": "list", "data": [model]})

    def _sent(self, request: Incoming, seen: Seen, answer: Answer, spec: Spec | None) -> Reply:
        seen.fault = None if spec is None else str(spec)
        return Reply(answer.status, steps(answer, spec, delivery_of(request, self.settings)), seen)


def script_of(specs: Sequence[Spec]) -> Sequence[Spec]:
    """Return specs that may stand in a script. Raises: SpecError."""
    for spec in specs:
        if spec.at is not None:
            raise SpecError(f"got at={spec.at} in a script, wanted it in the field x-fault only")
    return specs


def delivery_of(request: Incoming, settings: Settings) -> Delivery:
    """Return how a request is to be answered."""
    is_http_1_0 = request.head.version == (1, 0)
    return Delivery(
        is_http_1_0=is_http_1_0,
        is_keep_alive=request.head.is_keep_alive and not is_http_1_0,
        is_head_only=request.method == "HEAD",
        delay_s=settings.delay_s,
        pace_s=settings.pace_s,
        hold_s=settings.hold_s,
    )


def _method_not_allowed(allowed: bytes) -> Answer:
    message = f"wanted one of the methods {allowed.decode()}"
    return json_answer(error_value(message, _INVALID, "method_not_allowed"), 405, (b"Allow", allowed))
