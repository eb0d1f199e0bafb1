"""One JSON line per exchange."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from queue import SimpleQueue
from select import PIPE_BUF
from threading import Thread
from typing import Any, BinaryIO

import orjson

from ..errors import KINDS
from ..exchange.exchange import Exchange
from ..verdicts import Outcome

MAX_QUEUED = 10_000
_MAX_TEXT = 2048
_CLOSE_S = 1.0


class AccessLog:
    """Writes lines to standard output (`-`), to a file, or nowhere (`off`).

    Lines are handed to a thread, so that a slow disk or an unread pipe never holds an exchange up; what does not fit
    into its queue of `MAX_QUEUED` lines is counted in `num_lost`. A file is opened for appending and reopened by
    `reopen`, so that it can be rotated. A line never holds a body, a query, or a credential.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._lines: SimpleQueue[bytes | BinaryIO | None] = SimpleQueue()
        self._ahead: list[bytes | BinaryIO | None] = []  # at most one, which did not fit into a block
        self._thread: Thread | None = None
        self.num_lost = 0
        self.reopen()

    def reopen(self) -> None:
        """Open the destination (anew). Raises: OSError; then the one before stays."""
        if self._destination == "off" or (self._destination == "-" and self._thread is not None):
            return
        # The thread changes over when it has written what came before: no line is torn between two files.
        self._lines.put(sys.stdout.buffer if self._destination == "-" else _opened(self._destination))
        if self._thread is None:
            self._thread = Thread(target=self._run, name="access log", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what is queued, for at most a second, and close the file."""
        if self._thread is not None:
            self._lines.put(None)
            self._thread.join(_CLOSE_S)
            self._thread = None

    def write(self, exchange: Exchange, outcome: Outcome) -> None:
        """Write the line of an exchange."""
        if self._thread is not None:
            self._put(_line(exchange, outcome))

    def write_refused(self, peer: str, error: str, status: int, detail: str) -> None:
        """Write the line of what never became a request."""
        line = {"ts": _now(), "peer": peer, "status": status, "level": KINDS[error].log_level, "error": error}
        self._put({**line, "detail": _shown(detail)})

    def _put(self, line: dict[str, Any]) -> None:
        if self._thread is None:
            return
        if self._lines.qsize() >= MAX_QUEUED:
            self.num_lost += 1
            return
        self._lines.put(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _run(self) -> None:
        file: BinaryIO | None = None
        while (item := self._ahead.pop() if self._ahead else self._lines.get()) is not None:
            if not isinstance(item, bytes):
                self._leave(file)
                file = item
            elif file is not None:
                self._write(file, self._block(item))
        self._leave(file)

    def _block(self, first: bytes) -> list[bytes]:
        """Return the lines of one write: of so many bytes a pipe tears none apart, whoever else writes into it."""
        lines, size = [first], len(first)
        while not self._lines.empty():
            item = self._lines.get()
            if not isinstance(item, bytes) or size + len(item) > PIPE_BUF:
                self._ahead.append(item)
                break
            lines.append(item)
            size += len(item)
        return lines

    def _write(self, file: BinaryIO, lines: list[bytes]) -> None:
        try:
            file.write(b"".join(lines))
            file.flush()
        except (OSError, ValueError):
            self.num_lost += len(lines)  # a full disk must not cost a client its answer

    def _leave(self, file: BinaryIO | None) -> None:
        if file is not None and self._destination != "-":
            file.close()


def _opened(path: str) -> BinaryIO:
    return open(path, "ab", buffering=0)


def _line(exchange: Exchange, outcome: Outcome) -> dict[str, Any]:
    request, identity = exchange.request, exchange.identity
    return {
        "ts": _now(),
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
        "client": request.client,
        "method": _shown(request.method),
        "host": _shown(request.host),
        "path": _shown(request.path),
        "route": exchange.route.name or None,
        "key_id": _shown(identity.key_id) if identity else None,
        "tenant": _shown(identity.tenant) if identity else None,
        "model": _shown(outcome.model) if outcome.model else None,
        "target": outcome.target,
        "attempts": outcome.attempts,
        "fallback": outcome.is_fallback,
        "failures": [_shown(f"{target}: {reason}") for target, reason in outcome.failures],
        "cache": outcome.cache,
        "status": outcome.status,
        "level": KINDS[outcome.error].log_level if outcome.error else "info",
        "error": outcome.error,
        "detail": _shown(outcome.detail) or None,
        "client_gone": outcome.is_client_gone,
        "received_bytes": outcome.received_bytes,
        "sent_bytes": outcome.sent_bytes,
        "duration_ms": round(outcome.duration_s * 1000, 3),
        "first_byte_ms": None if outcome.first_byte_s is None else round(outcome.first_byte_s * 1000, 3),
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        **({"extra": {_shown(name): _shown(value) for name, value in outcome.extra.items()}} if outcome.extra else {}),
    }


def _shown(text: object) -> str:
    # Plugins and clients say what they like: it must fit a line, and be text.
    return str(text)[:_MAX_TEXT].encode("utf-8", "replace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
