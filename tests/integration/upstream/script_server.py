"""Upstreams that do exactly what a test says, fault by fault."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable

BOUND_S = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Peer:
    """The server's end of one connection. `index` counts the connections of the server from 0."""

    def __init__(self, sock: socket.socket, index: int) -> None:
        sock.settimeout(BOUND_S)
        self.sock = sock
        self.index = index
        self._held = b""

    def read_head(self) -> bytes:
        """Return the next request head; b"" where the client closed."""
        while b"\r\n\r\n" not in self._held:
            data = self.receive()
            if not data:
                return b""
            self._held += data
        head, end, self._held = self._held.partition(b"\r\n\r\n")
        return head + end

    def read_request(self) -> bytes:
        """Return the next request with its body by Content-Length; b"" where the client closed."""
        head = self.read_head()
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        while len(self._held) < length:
            self._held += self.receive() or b"\x00" * length
        body, self._held = self._held[:length], self._held[length:]
        return head + body

    def receive(self) -> bytes:
        """Return what comes next; b"" where the client closed or reset."""
        held, self._held = self._held, b""
        try:
            return held or self.sock.recv(65536)
        except ConnectionError:
            return b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_while_taken(self, data: bytes) -> None:
        """Send what the client takes; it may leave."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def wait_closed(self) -> None:
        """Wait until the client has closed or reset."""
        while self.receive():
            pass

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close with FIN, or RST where bytes were not read."""
        self.sock.close()


class ScriptServer:
    """Runs `script` on each connection, one thread each, and closes the connection after it.

    Listens on a free loopback port, or on the Unix socket `path`.
    """

    def __init__(
        self, script: Callable[[Peer], None], tls: ssl.SSLContext | None = None, path: str | None = None
    ) -> None:
        self._script = script
        self._tls = tls
        family, address = (socket.AF_UNIX, path) if path else (socket.AF_INET, ("127.0.0.1", 0))
        self._listener = socket.create_server(address, family=family)
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self.failures: list[Exception] = []
        self.port = 0 if path else int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def num_connections(self) -> int:
        return len(self._peers)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(sock, len(self._peers))
            self._peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _run(self, peer: Peer) -> None:
        try:
            if self._tls is not None:
                peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)
            self._script(peer)
        except (ssl.SSLError, ConnectionError) as error:
            if self._tls is None:
                self.failures.append(error)
        except Exception as error:  # shown by `close`
            self.failures.append(error)
        finally:
            peer.sock.close()

    def close(self) -> None:
        """Stop, and raise what a script raised."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(BOUND_S)
        for thread in self._threads:
            thread.join(BOUND_S)
        assert not any(thread.is_alive() for thread in self._threads), "a script hangs"
        if self.failures:
            raise self.failures[0]
