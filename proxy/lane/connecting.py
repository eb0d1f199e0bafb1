"""A wait for a connection to the first target: the exchange stays in the lane, and goes on there once it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import GatewayError
from ..exchange.attempt import Attempt
from ..tasks import spawn
from ..upstream.attempt import wire_to
from ..upstream.cluster import Member

if TYPE_CHECKING:
    from .call import InlineCall


class Connecting:
    """A task that waits for a connection. Whoever ends the exchange meanwhile cancels it, and frees the endpoint."""

    __slots__ = ("_attempt", "_call", "_member", "_request", "_task")

    def __init__(self, call: InlineCall, attempt: Attempt, member: Member, request: list[bytes]) -> None:
        self._call = call
        self._attempt = attempt
        self._member = member
        self._request = request
        self._task = spawn(self._wait(), "connect")

    def cancel(self) -> None:
        """The exchange has ended."""
        self._task.cancel()

    async def _wait(self) -> None:
        call, context = self._call, self._call.serving.context
        try:
            wire = await wire_to(self._member, self._attempt, call.machine, call.plan.deadline)
        except GatewayError as error:
            context.run(call.unconnected, error)
        except Exception as error:
            context.run(call.serving.crash, error)
        else:
            context.run(call.connected, self._attempt, wire, self._request)
