"""A client whose requests come when they are due, whether or not earlier ones were answered."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

import gevent
import gevent.pool
from locust import task
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import StopUser

from bench.governed import key

from ..answers import Answer, outcome
from ..crowd import Crowd, Load
from ..records import UNSENT, Record

MAX_UNDER_WAY = 400  # of one client; it bounds the memory of the generator
_NEVER_S = 3600.0


class Sending:
    """What all clients of a run share: when it begins, and where records go."""

    def __init__(self, load: Load, begin_s: float) -> None:
        self.load = load
        self.begin_s = begin_s
        self.records: list[Record] = []

    def now_s(self) -> float:
        """Return the time since the beginning."""
        return time.monotonic() - self.begin_s


class OpenUser(FastHttpUser):
    """One key of a crowd. The task only begins a request, so that a slow answer delays no other."""

    abstract = True
    kind: ClassVar[str]
    crowd: ClassVar[Crowd]
    sending: ClassVar[Sending]
    taken: ClassVar[Iterator[int]]  # which key the next client of the crowd gets
    concurrency = MAX_UNDER_WAY
    network_timeout = 30.0
    connection_timeout = 5.0

    def on_start(self) -> None:
        """Take a key, and draw the arrivals."""
        number = next(self.taken)
        self.key = self.crowd.keys[number]
        self.headers = {"Authorization": f"Bearer {key(self.key)}", "Accept-Encoding": "identity"}
        random = Random(f"{self.sending.load.seed} {self.kind} {self.crowd.address} {self.key}")
        self.arrivals = self.crowd.curve.arrivals(random, 1 / len(self.crowd.keys))
        self.due_s = next(self.arrivals, _NEVER_S)
        self.under_way = gevent.pool.Pool(MAX_UNDER_WAY)
        self._come_from(self.crowd.address)
        gevent.sleep(max(self.due_s - self.sending.now_s(), 0.0))

    def wait_time(self) -> float:
        """Return the time until the next request is due."""
        return max(self.due_s - self.sending.now_s(), 0.0)

    @task
    def arrive(self) -> None:
        """Begin the request that is due."""
        if self.due_s >= _NEVER_S:
            raise StopUser
        if self.under_way.full():
            self._keep(Answer(), self.due_s, self.sending.now_s() - self.due_s, again=0)
        else:
            self.under_way.spawn(self._ask_until_answered, self.due_s)
        self.due_s = next(self.arrivals, _NEVER_S)

    def on_stop(self) -> None:
        """Wait for what is under way, so long as the load's grace; the rest counts as not answered."""
        self.under_way.join(timeout=self.sending.load.grace_s)
        self.under_way.kill()

    @abstractmethod
    def ask(self) -> Answer:
        """Send one request and look at the whole answer."""

    def _ask_until_answered(self, due_s: float) -> None:
        for again in range(self.crowd.retries + 1):
            late_s = self.sending.now_s() - due_s
            try:
                answer = self.ask()
            except gevent.GreenletExit:
                self._keep(Answer(is_sent=True, detail="none in time"), due_s, late_s, again)
                raise
            self._keep(answer, due_s, late_s, again)
            if not answer.is_worth_a_retry:
                return
            gevent.sleep(self.crowd.backoff_s)
            due_s = self.sending.now_s()

    def _keep(self, answer: Answer, due_s: float, late_s: float, again: int) -> None:
        ended_s = self.sending.now_s()
        self.sending.records.append(
            Record(
                kind=self.kind,
                key=f"k{self.key:03}",
                address=self.crowd.address,
                due_s=due_s,
                late_s=late_s,
                seconds=ended_s - due_s,
                first_s=(answer.first_at_s or ended_s + self.sending.begin_s) - self.sending.begin_s - due_s,
                status=answer.status,
                outcome=outcome(answer) if answer.is_sent else UNSENT,
                target=answer.target,
                detail=answer.detail,
                again=again,
                body_bytes=answer.body_bytes,
            )
        )

    def _come_from(self, address: str) -> None:
        """Bind connections to an address of this machine before they are opened."""
        pool = self.client.client.clientpool.get_client(self.host)._connection_pool
        connect = pool._connect_socket

        def bound(sock: Any, peer: Any) -> Any:
            sock.bind((address, 0))
            return connect(sock, peer)

        pool._connect_socket = bound
