"""A peer on a raw socket: sees every byte, and how the connection ends."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any, Literal

Ending = Literal["FIN", "RST", "open"]

BOUND_S = 20.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**CHAT, "stream": True}


class RawPeer:
    """One connection."""

    def __init__(self, port: int, room_bytes: int = 0) -> None:
        self.sock = socket.socket()
        if room_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        self.sock.settimeout(BOUND_S)
        try:
            self.sock.connect(("127.0.0.1", port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def send(self, value: Any = STREAM, *fields: str, path: str = "/v1/chat/completions") -> None:
        """Send a request."""
        body = json.dumps(value).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields, "", ""]
        self.sock.sendall("\r\n".join(lines).encode() + body)

    def rest(self, quiet_s: float = BOUND_S) -> tuple[bytes, Ending]:
        """Read until the connection ends, or for so long nothing comes; return what came and how it ended."""
        data, self._held = self._held, b""
        self.sock.settimeout(quiet_s)
        try:
            while piece := self.sock.recv(65536):
                data += piece
        except ConnectionResetError:
            return data, "RST"
        except TimeoutError:
            return data, "open"
        return data, "FIN"

    def until(self, mark: bytes) -> bytes:
        """Read up to and with `mark`."""
        self.sock.settimeout(BOUND_S)
        while mark not in self._held:
            piece = self.sock.recv(65536)
            assert piece, f"closed after {self._held!r}"
            self._held += piece
        found, _, self._held = self._held.partition(mark)
        return found + mark

    def answer(self) -> tuple[bytes, bytes]:
        """Read a whole answer: its head, and its body without framing."""
        head = self.until(b"\r\n\r\n")
        body = b""
        if b"Transfer-Encoding: chunked" in head:
            while size := int(self.until(b"\r\n"), 16):
                body += self._exactly(size + 2)[:-2]
            self._exactly(2)
            return head, body
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        return head, self._exactly(length)

    def leave(self, *, is_reset: bool) -> None:
        """Close, by a reset or in good order, whatever was not read."""
        if is_reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            piece = self.sock.recv(65536)
            assert piece, f"closed after {self._held!r}"
            self._held += piece
        found, self._held = self._held[:size], self._held[size:]
        return found


@contextlib.contextmanager
def raw_peer(port: int, room_bytes: int = 0) -> Iterator[RawPeer]:
    """Connect, and close. `room_bytes`: how little the kernel is to hold of what is not read."""
    peer = RawPeer(port, room_bytes)
    with peer.sock:
        yield peer
