"""What a worker has from its parent: sockets, its number, the memory that all share."""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections.abc import Callable

from ...ext.limiter_cells import LimiterCells
from ...ext.slots import SlotTable
from ..config.addresses import Address
from ..counting import Counting
from ..observe.arena import ARENA_BYTES, Arena, Shared
from .channel import Channel
from .handover import Handover


class Inherited:
    """The worker's side. `number` is its place among `num_workers`: whoever replaces it has the same."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is the worker's end of the channel. Raises: RuntimeError where nobody is at the other."""
        self._channel = Channel(socket.socket(fileno=descriptor))
        message, descriptors = self._channel.receive()
        if message is None:
            raise RuntimeError("expected a parent that tells what to serve, got none")
        self.number: int = message["number"]
        self.num_workers: int = message["num_workers"]
        memory, slots, *sockets = descriptors
        self._sockets = [
            (name, socket.socket(fileno=each)) for name, each in zip(message["addresses"], sockets, strict=True)
        ]
        self._memory = mmap.mmap(memory, self.num_workers * ARENA_BYTES)
        os.close(memory)
        self._slots = SlotTable.attach(slots, self.number)
        os.close(slots)
        self.counting = Counting(self.cells, self._slots, self.num_workers, self.memory)
        self.handover = self._receive_handover()
        self._has_read = False  # the configuration: the parent has told of it when it started

    def _receive_handover(self) -> Handover:
        message, descriptors = self._channel.receive()
        if message is None or len(descriptors) != 1 + self.num_workers:
            raise RuntimeError("expected the ways to the other workers from the parent, got none")
        own, *inboxes = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        return Handover(self._slots, self.number, own, inboxes)

    def shared(self) -> Shared:
        """Return where metrics are counted."""
        view = memoryview(self._memory)
        arenas = [Arena(view[at * ARENA_BYTES : (at + 1) * ARENA_BYTES]) for at in range(self.num_workers)]
        return Shared(arenas, self.number)

    def cells(self, name: str, max_cells: int, *, forgets: bool = False) -> LimiterCells:
        """Return the table of limits that all workers have under this name. Raises: RuntimeError."""
        self._channel.send({"cells": name, "max_cells": max_cells, "forgets": forgets})
        message, descriptors = self._channel.receive()
        if message is None or not descriptors:
            raise RuntimeError("expected a table of limits from the parent, got none")
        try:
            return LimiterCells.attach(descriptors[0])
        finally:
            os.close(descriptors[0])

    def memory(self, name: str, num_bytes: int) -> int:
        """Return the memory that all workers have under this name, as a descriptor to close. Raises: RuntimeError."""
        self._channel.send({"memory": name, "num_bytes": num_bytes})
        message, descriptors = self._channel.receive()
        if message is None or not descriptors:
            raise RuntimeError(f"expected {num_bytes} bytes of memory from the parent, got none")
        return descriptors[0]

    def bind(self, address: Address) -> socket.socket:
        """Return the socket that is bound to an address of the configuration. Raises: RuntimeError."""
        for place, (name, bound) in enumerate(self._sockets):
            if name == str(address):
                del self._sockets[place]
                return bound
        raise RuntimeError(f"expected a socket for {address} from the parent, got none")

    def is_to_tell(self) -> bool:
        """Whether to say what is doubtful about a configuration that is read now: of a reload one worker does."""
        is_again, self._has_read = self._has_read, True
        return is_again and self.number == 0

    def ready(self) -> None:
        """Tell the parent that this worker serves."""
        self._channel.send({"ready": True})

    def reloaded(self) -> None:
        """Tell the parent that a new configuration is in force here, which the others have to take, too."""
        self._channel.send({"reloaded": True})

    def watch(self, loop: asyncio.AbstractEventLoop, orphaned: Callable[[], None]) -> None:
        """Call `orphaned` once the parent is gone."""

        def look() -> None:
            message, _ = self._channel.receive()
            if message is None:
                loop.remove_reader(self._channel.fileno())
                orphaned()

        loop.add_reader(self._channel.fileno(), look)
