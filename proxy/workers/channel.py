"""Messages between the parent and one worker, with descriptors beside them."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

import orjson

MAX_MESSAGE_BYTES = 64 * 1024
SILENT_S = 10.0
_MAX_DESCRIPTORS = 250  # of one message, as the kernel has it


class Channel:
    """One end. Messages are JSON objects, each whole."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.settimeout(SILENT_S)

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Return the parent's end, and what a worker is to inherit."""
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(own), other

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._end.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message; nobody to take it is no error, as whoever is gone needs none."""
        try:
            socket.send_fds(self._end, [orjson.dumps(message)], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        """Return the next message and its descriptors, None where the other side is gone, or silent for `SILENT_S`."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, MAX_MESSAGE_BYTES, _MAX_DESCRIPTORS)
        except (ConnectionResetError, TimeoutError):
            return None, []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return (orjson.loads(data) if data else None), descriptors

    def close(self) -> None:
        """Close this end."""
        self._end.close()
