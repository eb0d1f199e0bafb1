"""The request as one target gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..ext.head_scan import BodyScan
from .body_scan import with_member
from .exchange.exchange import Exchange
from .exchange.replay import ReplayBuffer
from .forwarded import OWN, Origin, forwarded_fields, is_spoofable
from .http1.fields import end_to_end
from .prefill import with_prefill
from .upstream.attempt import OutgoingHead
from .upstream.cluster import Cluster, Member
from .upstream.continuation import FIELD, MEMBER, Continuation, Prefill
from .upstream.sender import BodySource
from .upstream.work import RequestWriter
from .verdicts import Target

# What asks for less than the whole answer; an aggregate that weighs answers wants them whole.
_CONDITIONS = ("if-none-match", "if-modified-since", "range", "if-range")

# What a client says of its body, or of the request as a whole, is not true of another one.
_OF_THE_BODY = ("idempotency-key", "content-encoding", "content-digest", "digest", "content-md5")


class Outgoing:
    """Writes the head and body of one exchange for each target that is tried.

    Nothing of the client's head is copied as bytes of a line: every field is written again from its parsed name and
    value, hop-by-hop fields and those that a client must not set are left out.
    """

    __slots__ = ("_base", "_body", "_edited", "_exchange", "_origin", "_scan", "_style")

    def __init__(self, exchange: Exchange, body: BodySource, origin: Origin, style: str, scan: BodyScan | None) -> None:
        self._exchange = exchange
        self._body = body
        self._origin = origin
        self._style = style
        self._scan = scan
        self._edited: dict[str, _Fixed] = {}  # by model; one for each model among the targets
        self._base = self._common()

    def _common(self) -> list[tuple[bytes, bytes]]:
        request = self._exchange.request
        kept = [
            pair
            for pair in end_to_end(request.fields.raw)
            if (name := pair[0].lower()) not in OWN and not is_spoofable(name)
        ]
        kept += forwarded_fields(self._origin, self._style)
        kept.append((b"X-Request-Id", self._exchange.request_id.encode()))
        kept.append((b"Traceparent", self._exchange.traceparent.encode()))
        vias = [value for name, value in request.fields.raw if name.lower() == b"via"]
        kept.append((b"Via", b", ".join([*vias, b"1.1 headgate"])))
        if request.is_upgrade:
            kept += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        return kept

    def request_for(
        self, target: Target, cluster: Cluster, member: Member, continuation: Continuation | Prefill | None
    ) -> tuple[OutgoingHead, BodySource]:
        """Write the request for `target`; with a continuation the one that asks for the rest of its answer."""
        body = self.body_for(target)
        if continuation is None:
            return self._head(cluster, member, body), body
        if isinstance(continuation, Prefill):
            body = _Fixed(with_prefill(body.replay.joined(), target.prefill or "plain", continuation), True)
            head = self._head(cluster, member, body)
            # It is another request: who remembers the first one by its key would answer all over again.
            return replace(head, fields=_without(list(head.fields), "idempotency-key")), body
        cursors = [cursor.decode("latin-1") for cursor in continuation.cursors]
        body = _Fixed(with_member(body.replay.joined(), MEMBER, cursors), is_replayable=True)
        head = self._head(cluster, member, body)
        return replace(head, fields=[*head.fields, (FIELD, continuation.numerics)]), body

    def request_for_call(
        self, target: Target, cluster: Cluster, member: Member, continuation: Continuation | Prefill | None
    ) -> tuple[OutgoingHead, BodySource]:
        """Write the request for one of the calls of an aggregate: without conditions, for the whole answer."""
        head, body = self.request_for(target, cluster, member, continuation)
        fields = list(head.fields)
        for name in _CONDITIONS:
            fields = _without(fields, name)
        return replace(head, fields=fields), body

    def request_with(self, data: bytes) -> RequestWriter:
        """Return who writes the request with another body, as it is, for any target."""
        body = _Fixed(data, is_replayable=True)

        def request_for(
            target: Target, cluster: Cluster, member: Member, continuation: Continuation | Prefill | None
        ) -> tuple[OutgoingHead, BodySource]:
            head = self._head(cluster, member, body)
            fields = list(head.fields)
            for name in (*_OF_THE_BODY, *_CONDITIONS):
                fields = _without(fields, name)
            return replace(head, fields=fields), body

        return request_for

    def _head(self, cluster: Cluster, member: Member, body: BodySource) -> OutgoingHead:
        settings, request = cluster.settings, self._exchange.request
        host = self._origin.host if settings.is_host_preserved else member.endpoint.authority
        fields = [(b"Host", host.encode("latin-1")), *self._base]
        fields += self._framing(body)
        fields.append((b"X-Headgate-Deadline-Ms", b"%d" % self._remaining_ms()))
        fields.append((b"X-Headgate-Priority", self._exchange.priority.encode()))
        for name in settings.removed_fields:
            fields = _without(fields, name)
        replaced = [settings.credential] if settings.credential else []
        for name, value in (*replaced, *settings.set_fields):
            fields = [*_without(fields, name), (name.encode("latin-1"), value.encode("latin-1"))]
        return OutgoingHead(request.method.encode("latin-1"), request.target.encode("latin-1"), fields)

    def body_for(self, target: Target) -> BodySource:
        """Return the body for `target`: the client's, or the same with the target's model written into it."""
        scan = self._scan
        # Without a model of its own a target is asked for what was routed: an alias is not its name for it.
        wanted = target.model or self._exchange.model
        if scan is None or wanted is None or scan.model == wanted:
            return self._body
        body = self._edited.get(wanted)
        if body is None:
            body = self._edited[wanted] = _Fixed(scan.with_model(wanted), self._body.replay.is_replayable)
        return body

    def _framing(self, body: BodySource) -> Sequence[tuple[bytes, bytes]]:
        request = self._exchange.request
        if isinstance(body, _Fixed):
            return [(b"Content-Length", b"%d" % body.length)]
        if request.body.is_empty:
            # RFC 9110 §8.6: a method that expects content says so even where there is none.
            return [(b"Content-Length", b"0")] if request.method in ("POST", "PUT", "PATCH") else []
        if request.body.length is not None:
            return [(b"Content-Length", b"%d" % request.body.length)]
        return [(b"Transfer-Encoding", b"chunked")]

    def _remaining_ms(self) -> int:
        return max(0, int((self._exchange.deadline - asyncio.get_running_loop().time()) * 1000))


class _Fixed:
    """A body that is whole already."""

    __slots__ = ("length", "replay")

    def __init__(self, data: bytes, is_replayable: bool) -> None:
        self.length = len(data)
        self.replay = ReplayBuffer(len(data) if is_replayable else 0)
        self.replay.replace(data)

    def take_arrived(self) -> None:
        """Everything is there."""

    async def more(self) -> bool:
        """Nothing more comes."""
        return False


def _without(fields: list[tuple[bytes, bytes]], name: str) -> list[tuple[bytes, bytes]]:
    wanted = name.lower().encode("latin-1")
    return [pair for pair in fields if pair[0].lower() != wanted]
