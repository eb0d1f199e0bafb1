"""Calls of targets that are answered at once, from memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ..downstream.request_body import RequestBody
from ..errors import GatewayError
from ..exchange.exchange import Exchange
from ..exchange.fields import Fields
from ..exchange.message import Response
from ..forwarded import Origin
from ..lane.body import WholeBody
from ..record import Record
from ..targets import TargetCalls
from ..upstream.cluster import Cluster
from ..upstream.work import Served
from ..verdicts import Target
from .asked import Given


class GivenCalls(TargetCalls):
    """The calls of one exchange: whoever is asked answers what is `given`."""

    __slots__ = ("_given",)

    def __init__(
        self, exchange: Exchange, body: RequestBody, record: Record, clusters: Mapping[str, Cluster], given: Given
    ) -> None:
        asked = exchange.request
        origin = Origin(asked.peer, asked.client, asked.scheme, asked.host)
        super().__init__(exchange, body, record, clusters, (origin, "x-forwarded"))
        self._given = given

    def apart(self, exchange: Exchange, record: Record) -> GivenCalls:
        """Return the calls of another exchange without a body."""
        return GivenCalls(exchange, WholeBody(0), record, self._clusters, self._given)

    def answer(self, targets: tuple[Target, ...], served: Served) -> Response:
        """Return the answer of the first target, whole. Raises: GatewayError where there is none."""
        if not targets:
            raise GatewayError("route_not_found", "the route has no target for this request")
        given, target = self._given, targets[0]
        served.target = served.preferred = target
        served.ends[len(served.ends) + 1] = (target.name, "answered")
        fields = Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in given.fields)
        return Response(given.status, fields, given.body, len(given.body))

    async def _run(
        self, targets: tuple[Target, ...], served: Served, *, is_call: bool = False, body: bytes | None = None
    ) -> Response:
        response = self.answer(targets, served)
        response.body = _pieces(self._given.body)
        return response


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body
