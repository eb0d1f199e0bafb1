"""How a committed answer can go on after a break: exactly where it stopped, or from the text that the client has."""

from __future__ import annotations

from ...ext.http1 import ResponseHead
from ..errors import GatewayError
from ..exchange.progress import Progress
from ..exchange.seam import Seam
from .attempt import UpstreamAttempt
from .continuation import Continuation, Prefill
from .opened import Opened
from .work import Work


class Continuity:
    """Knows what continues the answer that was committed, and whether what came does.

    Exactly comes first: then only the target itself can. From the text every target can whose number is in `prefilled`.
    How many tokens an answer may have that goes on so is asked once.
    """

    __slots__ = ("_is_usage_wanted", "_numerics", "_prefilled", "_targets", "_tokens", "_tokens_allowed")

    def __init__(self, work: Work) -> None:
        self._targets = work.targets
        self._prefilled = tuple(number for number, is_prefilled in enumerate(work.plan.prefills) if is_prefilled)
        self._tokens_allowed = work.tokens_allowed
        self._is_usage_wanted = work.is_usage_wanted
        self._tokens: float | None = None
        self._numerics: bytes | None = None  # what decided the bits of the committed answer

    def commit(self, opened: Opened) -> None:
        """The client gets this answer."""
        self._numerics = opened.numerics
        if opened.progress is not None:
            opened.progress.is_usage_owed = self._is_usage_wanted and self._numerics is not None

    def targets(self, broken: Opened) -> tuple[int, ...]:
        """Return the numbers of the targets that could go on with an answer."""
        if broken.progress is None or (self._numerics is None and not self._prefilled):
            return ()
        if self._is_exact(broken.progress):
            return (broken.attempt.attempt.target,)
        return self._prefilled if self._is_plain(broken.progress) else ()

    def continuation(self, broken: Opened, target: int) -> Continuation | Prefill | None:
        """Return what a target is to be told to go on with an answer."""
        progress = broken.progress
        if progress is None or target not in self.targets(broken):
            return None
        if self._is_exact(progress) and self._numerics is not None:
            return Continuation(tuple(progress.cursors), self._numerics)
        transcript = progress.transcript
        return Prefill(transcript.text, transcript.num_events) if transcript is not None else None

    def joined(self, upstream: UpstreamAttempt, head: ResponseHead, broken: Opened) -> Opened:
        """Return the answer to an attempt to continue `broken`. Raises: GatewayError, where it does not continue it."""
        if head.status != 200:
            return Opened(upstream, head, broken.progress)  # the machine takes it from here
        told = self.continuation(broken, upstream.attempt.target)
        seam = self._seam(broken.progress, upstream.attempt.target) if isinstance(told, Prefill) else None
        opened = Opened(upstream, head, broken.progress, seam)
        if opened.progress is None or (seam is None and opened.numerics != broken.numerics):
            raise GatewayError(
                "malformed_answer", "expected the rest of the stream, with the same numerics if it has any"
            )
        return opened

    def _seam(self, progress: Progress | None, target: int) -> Seam | None:
        transcript = progress.transcript if progress is not None else None
        if transcript is None:
            return None
        is_echoed = self._targets[target].prefill == "echoed_prefix"
        return Seam(transcript.identity or {}, transcript.text if is_echoed else "")

    def _is_exact(self, progress: Progress) -> bool:
        return self._numerics is not None and progress.is_resumable

    def _is_plain(self, progress: Progress) -> bool:
        transcript = progress.transcript
        if transcript is None or not transcript.is_plain or not transcript.num_events:
            return False
        if self._tokens is None:
            self._tokens = self._tokens_allowed()
        return transcript.num_events < self._tokens
