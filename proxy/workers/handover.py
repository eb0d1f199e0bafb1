"""Connections that one worker accepts and another serves, so that all have about as many.

The kernel spreads connections over the workers by a hash: of few, one worker may get most. Whoever accepts one while
another has fewer passes it on to that one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence

from ...ext.slots import MAX_LIMIT, SlotTable
from ..counting import listener_key

_MESSAGE = struct.Struct("<qq")  # of which listener, and the place of the slot that counts it on its way
_BATCH = 64  # then the loop turns to others
_SLACK = 8  # an eighth more than the least is as many
_SERVING = ("serving",)
Taker = Callable[[socket.socket], None]


class Handover:
    """One worker's way to the others. What is on its way waits for its taker, or for whoever comes in its place."""

    def __init__(self, slots: SlotTable, number: int, own: socket.socket, inboxes: Sequence[socket.socket]) -> None:
        """`own` is where this worker, of that number, gets connections; `inboxes` are where each worker gets them."""
        self._slots = slots
        self._number = number
        self._own = own
        self._inboxes = inboxes
        self._takers: dict[int, Taker] = {}
        self._serving: int | None = None
        for each in (own, *inboxes):
            each.setblocking(False)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take connections from now on."""
        self._serving = self._slots.take(_SERVING, MAX_LIMIT)
        loop.add_reader(self._own, self._receive)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take those that are there, and then no more."""
        if self._serving is not None:
            self._slots.give_back(self._serving)
            self._serving = None
            loop.remove_reader(self._own)
            while self._receive():
                pass

    def share(self, listener: int, take: Taker) -> Share:
        """Return how a listener shares its connections; `take` serves those that come from others."""
        self._takers[listener] = take
        return Share(self, listener)

    def fewest(self, loads: Sequence[int]) -> int | None:
        """Return who should have one more, by how many each has; None where it is this worker. Cost: O(workers)."""
        is_serving = self._slots.shares(_SERVING)
        others = [(load, number) for number, load in enumerate(loads) if is_serving[number] and number != self._number]
        least, number = min(others, default=(loads[self._number], self._number))
        return number if loads[self._number] > least + least // _SLACK else None

    def loads(self, listener: int) -> list[int]:
        """Return how many connections of a listener each worker has, or will have once they have reached it."""
        there, on_the_way = self._slots.shares(listener_key(listener)), self._slots.shares(_way_key(listener))
        return [open_ + coming for open_, coming in zip(there, on_the_way, strict=True)]

    def send(self, number: int, listener: int, descriptor: int) -> bool:
        """Pass a connection on. Returns False where the other has no room for more on their way."""
        place = self._slots.take(_way_key(listener), MAX_LIMIT, number)
        if place is None:
            return False
        try:
            socket.send_fds(self._inboxes[number], [_MESSAGE.pack(listener, place)], [descriptor])
        except OSError:
            self._slots.give_back(place, number)
            return False
        return True

    def _receive(self) -> bool:
        """Take what others have passed on. Returns whether there may be more."""
        for _ in range(_BATCH):
            try:
                data, found, _, _ = socket.recv_fds(self._own, _MESSAGE.size, 1)
            except OSError:
                return False
            listener, place = _MESSAGE.unpack(data)
            self._slots.give_back(place, self._number)
            for descriptor in found:  # none where the process may have no more
                os.set_inheritable(descriptor, False)
                self._takers[listener](socket.socket(fileno=descriptor))
        return True


class Share:
    """How one listener shares its connections with those of the other workers."""

    def __init__(self, handover: Handover, listener: int) -> None:
        self._handover = handover
        self._listener = listener

    def fewest(self) -> int | None:
        """Return who should serve the next connection, None where it is this worker."""
        return self._handover.fewest(self._handover.loads(self._listener))

    def send(self, number: int, descriptor: int) -> bool:
        """Pass a connection on; where that is done, close it here. Returns False where it has to stay."""
        return self._handover.send(number, self._listener, descriptor)


def _way_key(listener: int) -> tuple[str, int]:
    return ("on the way", listener)
