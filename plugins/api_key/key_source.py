"""Where the keys come from, and how they are kept fresh."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ...proxy.config.problems import ConfigErrors
from .key_entry import KeyEntry
from .keyring import Keyring, build_keyring
from .keys_file import parse_keys, read_bytes

POLL_S = 1.0
_UNSURE_S = 2.0  # a file changed this lately may change again without a new time stamp
_log = logging.getLogger("headgate.plugins.api_key")


class KeySource:
    """Keys of the configuration and of a file that is looked at once a second.

    A thread looks, so that neither a slow disk nor a large file holds up requests, and so that a key taken out of the
    file is refused soon after, also when the gateway was idle in between. A file that cannot be used leaves the keys as
    they were.
    """

    def __init__(
        self, inline: tuple[KeyEntry, ...], path: Path | None, now: Callable[[], datetime], poll_s: float
    ) -> None:
        self._inline = inline
        self._path = path
        self._now = now
        self._poll_s = poll_s
        self._seen: tuple[int, ...] | None = None
        self._content = b""  # digest of what the keys in force were read from
        self._complaint = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.keyring: Keyring = self._first()

    def watch(self) -> None:
        """Look now, and from now on once a second. Further calls do nothing."""
        if self._path is None or self._thread is not None:
            return
        self.poll()
        self._thread = threading.Thread(target=self._run, name="headgate-api-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()

    def poll(self) -> None:
        """Read the file again if it changed; what is wrong with it is logged once."""
        if self._path is None:
            return
        try:
            if self._is_changed(self._path):
                self._read(self._path)
        except OSError as error:
            self._complain(f"{self._path}: the keys file cannot be read ({str(error.strerror).lower()})")
        except ValueError as error:
            self._complain(f"{self._path}: {error}")
        except ConfigErrors as errors:
            self._complain(str(errors))

    def _first(self) -> Keyring:
        """Read everything for the first time. Raises: ConfigErrors, ValueError."""
        if self._path is None:
            return build_keyring(self._inline)
        with contextlib.suppress(OSError):  # reading it says the same with more words
            self._is_changed(self._path)
        data = read_bytes(self._path)
        self._content = hashlib.sha256(data).digest()
        return build_keyring((*self._inline, *parse_keys(data, self._path)))

    def _is_changed(self, path: Path) -> bool:
        stat = os.stat(path)
        seen = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev, stat.st_size)
        is_changed = seen != self._seen
        age_s = self._now().timestamp() - max(stat.st_mtime, stat.st_ctime)
        self._seen = seen if age_s > _UNSURE_S else None
        return is_changed

    def _read(self, path: Path) -> None:
        data = read_bytes(path)
        content = hashlib.sha256(data).digest()
        if content != self._content:
            self.keyring = build_keyring((*self._inline, *parse_keys(data, path)))
            self._content = content
            _log.info("%s: read again, %d credentials in force", path, len(self.keyring))
        self._complaint = ""

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            self._complaint = message
            _log.error("%s; the keys read before stay in force", message)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            try:
                self.poll()
            except Exception:  # supervision: keys must go on being looked at
                _log.exception("looking at the keys file failed; trying again")
