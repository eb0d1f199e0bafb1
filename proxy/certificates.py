"""The certificate of a listener, replaced while it runs."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

_log = logging.getLogger("headgate")


class Certificate:
    """An SSL context that takes a changed certificate up for new connections.

    The files are looked at every `interval_s`; a pair that does not fit together is not taken, the old one stays.
    """

    def __init__(self, certificate: str, key: str, interval_s: float) -> None:
        self._paths = (certificate, key)
        self._interval_s = interval_s
        self._handle: asyncio.TimerHandle | None = None
        self._current = _load(*self._paths)
        self._stamp = self._read_stamp()
        # The context that listens never changes; it hands each handshake the newest one.
        self.context = _load(*self._paths)
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the files from now on."""
        if self._interval_s > 0:
            self._handle = loop.call_later(self._interval_s, self._look, loop)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()

    def reload(self) -> None:
        """Take the files up now. Raises: OSError, ssl.SSLError; then the old pair stays."""
        self._current = _load(*self._paths)
        self._stamp = self._read_stamp()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        stamp = self._read_stamp()
        if stamp is not None and stamp != self._stamp:
            try:
                self.reload()
                _log.info("took up the new certificate %s", self._paths[0])
            except (OSError, ssl.SSLError) as error:
                self._stamp = stamp  # said once per change
                _log.error("kept the old certificate: expected a fitting pair %s and %s, got %s", *self._paths, error)
        self._handle = loop.call_later(self._interval_s, self._look, loop)

    def _read_stamp(self) -> tuple[tuple[int, int, int], ...] | None:
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError:
            return None  # being replaced right now
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)


def _load(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
