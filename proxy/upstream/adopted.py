"""A dispatch that somebody else has begun."""

from __future__ import annotations

from ..errors import GatewayError
from ..exchange.attempt import Attempt
from ..exchange.command import HOLD, Command
from ..exchange.message import Response
from .answer_body import AnswerBody
from .attempt import UpstreamAttempt
from .cluster import Member
from .dispatch import Dispatch
from .opened import Opened


class AdoptedDispatch(Dispatch):
    """Goes on where an attempt, or a committed answer, stands."""

    __slots__ = ()

    async def go_on(self, upstream: UpstreamAttempt, opened: Opened | None) -> Response:
        """As `open`, where an adopted attempt is under way, and its answer may be there so far."""
        try:
            command = await self._ended_well(upstream, self._answer_of(upstream, opened), None)
        except BaseException:
            await self.abandon()
            raise
        return self._response(command) if isinstance(command, Opened) else await self.open_from(command)

    async def unconnected(self, attempt: Attempt, member: Member, error: GatewayError) -> Response:
        """As `open`, where no connection to the endpoint of a first attempt could be had."""
        self._tried.add(member)
        upstream = UpstreamAttempt(attempt, self._machine, self._loop)
        return await self.open_from(self._failed(upstream, error, can_resume=False))

    def join(self, upstream: UpstreamAttempt, opened: Opened) -> AnswerBody:
        """Return the rest of an answer that is committed, and was passed on so far."""
        self.adopt(upstream)
        self._continuity.commit(opened)
        self._machine.is_resumable = bool(self._continuity.targets(opened))
        return AnswerBody(self, opened)

    def adopt(self, upstream: UpstreamAttempt) -> None:
        """Take an attempt over that somebody else has brought so far: its request is sent."""
        self._open[upstream.attempt] = upstream
        upstream.connection.on_informational = self._work.on_informational
        if upstream.member is not None:
            self._tried.add(upstream.member)

    async def _answer_of(self, upstream: UpstreamAttempt, opened: Opened | None) -> Opened | Command:
        command: Command = HOLD
        if opened is None:
            opened, command = await self._read_answer(upstream, None)
        return await self._until_commit(upstream, opened, command)
