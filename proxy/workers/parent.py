"""The parent of several workers: owns the sockets, starts the workers, replaces those that die."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from typing import Any, Literal

from ...ext.slots import SlotTable
from ..config.addresses import Address
from ..config.schema import Config
from ..counting import MAX_KEYS, address_table
from ..observe.arena import ARENA_BYTES
from ..server import bind
from .channel import Channel
from .memories import Memories
from .tables import Tables

READY_S = 60.0
_PAUSES_S = (0.1, 0.5, 2.0, 5.0)  # before a worker is replaced that did not come to serve; the last one for ever
_KILL_S = 10.0  # after the grace of a drain
_log = logging.getLogger("headgate")


@dataclass
class Worker:
    """One place: whoever holds it has these sockets and this inbox. `ready` is set by one that serves."""

    number: int
    sockets: Sequence[socket]
    inbox: tuple[socket, socket]  # where it reads, and where all write
    ready: asyncio.Event
    process: asyncio.subprocess.Process | None = None

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on, to whoever there is."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Parent:
    """Runs `num_workers` workers until a signal. SIGHUP reloads in each, SIGTERM and SIGINT drain them."""

    def __init__(self, path: Path, config: Config, num_workers: int) -> None:
        """Raises: BindError."""
        self._path = path
        self._config = config
        self._memory = os.memfd_create("headgate-metrics", os.MFD_CLOEXEC)
        os.truncate(self._memory, num_workers * ARENA_BYTES)
        self._admin = bind(config.admin.address) if config.admin is not None else None
        self._listening = [_bind_all(listener.address, num_workers) for listener in config.listeners]
        self._workers = [
            Worker(
                number,
                [bound[number] for bound in self._listening],
                socketpair(AF_UNIX, SOCK_SEQPACKET),
                asyncio.Event(),
            )
            for number in range(num_workers)
        ]
        self._tables = Tables(map(address_table, range(len(config.listeners))))
        self._memories = Memories()
        self._slots = SlotTable.create(MAX_KEYS, num_workers)
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serve; return the exit code: 0 after a drain, that of a worker which could not even begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload, None)
        held = [asyncio.ensure_future(self._hold(worker)) for worker in self._workers]
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            code = await self._begin(held, stopping)
            if code is None:
                self._announce()
                await stopping
        finally:
            self._stopping.set()
            await self._drain(held)
        return code or 0

    async def _begin(self, held: Sequence[asyncio.Future[int]], stopping: asyncio.Future[Literal[True]]) -> int | None:
        """Wait until all serve; return the exit code of one that ended before, 0 where a signal came."""
        serving = asyncio.ensure_future(self._all_serve())
        awaited: tuple[asyncio.Future[Any], ...] = (serving, stopping, *held)
        done, _ = await asyncio.wait(awaited, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        if serving in done:
            return None
        serving.cancel()
        if not done:
            _log.error("expected the workers to serve within %g s", READY_S)
        return next((future.result() for future in held if future in done), 0 if stopping in done else 1)

    async def _all_serve(self) -> None:
        for worker in self._workers:
            await worker.ready.wait()

    def _announce(self) -> None:
        for listener, bound in zip(self._config.listeners, self._listening, strict=True):
            host, port = bound[0].getsockname()[:2]
            print(f"listening on {'https' if listener.tls else 'http'}://{Address(host, port)}", flush=True)
        if self._admin is not None:
            host, port = self._admin.getsockname()[:2]
            print(f"admin on http://{Address(host, port)}", flush=True)

    async def _hold(self, worker: Worker) -> int:
        """Keep a place filled until the end; return the exit code of the last who held it.

        Where it ends before it has ever served nobody takes its place: then the configuration cannot be served.
        """
        num_failed = 0
        while True:
            has_served = worker.ready.is_set()
            is_serving = asyncio.Event()
            code = await self._run_one(worker, is_serving)
            if self._stopping.is_set() or not (has_served or is_serving.is_set()):
                return code
            num_failed = 0 if is_serving.is_set() else num_failed + 1
            pause_s = _PAUSES_S[min(num_failed, len(_PAUSES_S) - 1)]
            _log.error("worker %d ended with code %d, another takes its place in %g s", worker.number, code, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            if self._stopping.is_set():
                return code

    async def _run_one(self, worker: Worker, is_serving: asyncio.Event) -> int:
        channel, end = Channel.pair()
        arguments = (sys.executable, "-m", "headgate.proxy", "serve", str(self._path), "--worker", str(end.fileno()))
        worker.process = await asyncio.create_subprocess_exec(*arguments, pass_fds=(end.fileno(),))
        end.close()
        if self._stopping.is_set():  # meanwhile: what it would serve on is closed
            worker.signal(signal.SIGKILL)
            channel.close()
            return await worker.process.wait()
        self._equip(worker, channel)
        loop = asyncio.get_running_loop()

        def look() -> None:
            message, _ = channel.receive()
            if message is None:
                loop.remove_reader(channel.fileno())
            elif "ready" in message:
                is_serving.set()
                worker.ready.set()
            elif "reloaded" in message:
                self._reload(worker)
            elif "cells" in message:
                table = self._tables.get(message["cells"], message["max_cells"], forgets=message["forgets"])
                channel.send({"cells": message["cells"]}, [table])
            elif "memory" in message:
                memory = self._memories.get(message["memory"], message["num_bytes"])
                channel.send({"memory": message["memory"]}, [memory] if memory is not None else [])

        loop.add_reader(channel.fileno(), look)
        try:
            return await worker.process.wait()
        finally:
            loop.remove_reader(channel.fileno())
            channel.close()
            self._slots.clear(worker.number)  # what it had under way has ended with it

    def _equip(self, worker: Worker, channel: Channel) -> None:
        """Give a worker what it needs to begin."""
        sockets = [*worker.sockets, *([self._admin] if self._admin is not None else [])]
        addresses = [listener.address for listener in self._config.listeners]
        if self._config.admin is not None:
            addresses.append(self._config.admin.address)
        channel.send(
            {"number": worker.number, "num_workers": len(self._workers), "addresses": list(map(str, addresses))},
            [self._memory, self._slots.fileno(), *(each.fileno() for each in sockets)],
        )
        inboxes = [other.inbox[1].fileno() for other in self._workers]
        channel.send({"inboxes": len(inboxes)}, [worker.inbox[0].fileno(), *inboxes])

    def _reload(self, reloaded: Worker | None) -> None:
        """Have every worker take the file, but the one that has."""
        for worker in self._workers:
            if worker is not reloaded:
                worker.signal(signal.SIGHUP)

    async def _drain(self, held: Sequence[asyncio.Future[int]]) -> None:
        """Let the workers finish. What only the parent held open any more would take connections for nobody."""
        for bound in self._listening:
            for each in bound:
                each.close()
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        _, late = await asyncio.wait(held, timeout=self._config.drain + _KILL_S)
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        if late:
            await asyncio.wait(late)
        for end in (end for worker in self._workers for end in worker.inbox):
            end.close()
        if self._admin is not None:
            self._admin.close()


def _bind_all(address: Address, number: int) -> list[socket]:
    """Bind a socket for each worker: the kernel spreads the connections over them. Raises: BindError."""
    first = bind(address, is_shared=True)
    own = Address(*first.getsockname()[:2]) if address.port == 0 else address
    return [first, *(bind(own, is_shared=True) for _ in range(number - 1))]
