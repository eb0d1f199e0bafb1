"""A client that takes its time over a large answer."""

from __future__ import annotations

import gevent

from ..answers import Answer
from ..tier import BIG_BYTES
from .chat import begun
from .open_user import OpenUser

_PIECE_BYTES = 64 << 10
_PAUSE_S = 0.1
_SLOW_PIECES = 40  # then it reads the rest at once


class SlowReader(OpenUser):
    """Reads a large file in small pieces with pauses: the gateway must not keep for it what it does not read."""

    kind = "slow"

    def ask(self) -> Answer:
        """Send one request and read the answer slowly."""
        response = self.client.get("/files/big", headers=self.headers, stream=True)
        answer = begun(response)
        if not answer.status:
            return answer
        for number, piece in enumerate(response.iter_content(_PIECE_BYTES, decode_content=False)):
            answer.body_bytes += len(piece)
            if number < _SLOW_PIECES:
                gevent.sleep(_PAUSE_S)
        answer.is_whole = answer.body_bytes == BIG_BYTES or answer.status >= 400
        return answer
