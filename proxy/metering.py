"""Shows what a stream comes to, event by event, to those who have reserved something for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..ext.sse import Event, StreamState
from .errors import GatewayError
from .record import Meter
from .refusal import rejected

_log = logging.getLogger("headgate.plugins")


class Metering:
    """The meters of one stream. It counts for itself, since whoever reads the stream is some events ahead."""

    __slots__ = ("_meters", "_state")

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self._state = StreamState()

    def allowed(self, events: Sequence[Event]) -> tuple[Sequence[Event], GatewayError | None]:
        """Return the events before the first that is not to be passed on, and the error that ends the stream there."""
        for place, event in enumerate(events):
            self._state.see(event)
            error = self._refusal()
            if error is not None:
                return events[:place], error
        return events, None

    def _refusal(self) -> GatewayError | None:
        try:
            for meter in self._meters:
                verdict = meter(self._state)
                if verdict is not None:
                    return rejected(verdict)
        except Exception as error:  # a plugin's code: who cannot count an answer does not let it go on
            _log.error("a meter of a stream failed: %r", error, exc_info=error)
            return GatewayError("stage_unavailable", f"a meter failed: {error!r}")
        return None
