"""Words that no event of a stream shows."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl


class Redact:
    """Replaces words in server-sent events, one event at a time: a word that is spread over two is not seen."""

    class Config(BaseModel):
        """Settings under `plugins.redact`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        words: tuple[str, ...] = Field(min_length=1, max_length=1000, description="Words of letters and digits.")
        shown: str = Field(default="***", pattern=r"^[^\r\n\"\\]*$", description="What stands in their place.")

    class RouteOptions(BaseModel):
        """Settings under a route's `plugins.redact`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        is_told: bool = Field(default=True, description="Whether `x-redacted` says that words may be missing.")

    def __init__(self, config: Config) -> None:
        words = "|".join(re.escape(word) for word in config.words)
        self._pattern = re.compile(rb"\b(?:%b)\b" % words.encode(), re.IGNORECASE)
        self._shown = config.shown.encode()

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Tell that the stream is not as it came."""
        options = exchange.route.options.get("redact")
        is_stream = (response.fields.get("content-type") or "").startswith("text/event-stream")
        if is_stream and not (isinstance(options, Redact.RouteOptions) and not options.is_told):
            response.fields.set("x-redacted", "yes")

    @hookimpl
    def headgate_event(self, exchange: Exchange, event: bytes) -> bytes | None:
        """Replace the words; leave an event without any as it is."""
        redacted, number = self._pattern.subn(lambda found: self._shown, event)
        return redacted if number else None
