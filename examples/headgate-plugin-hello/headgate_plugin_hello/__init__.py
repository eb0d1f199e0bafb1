"""A plugin that greets, and signs every answer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl


class Hello:
    """Answers `GET /hello/{name}` itself, and adds a field to every answer of its routes."""

    class Config(BaseModel):
        """Settings under `plugins.hello`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        greeting: str = Field(default="Hello", max_length=50, description="The word before the name.")

    class RouteOptions(BaseModel):
        """Settings under a route's `plugins.hello`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        is_loud: bool = Field(default=False, description="Whether to greet in capitals.")

    def __init__(self, config: Config) -> None:
        self._greeting = config.greeting

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Response | None:
        """Greet where the route's path has a `{name}`; leave other requests to their targets."""
        name = exchange.params.get("name")
        if name is None:
            return None
        text = f"{self._greeting}, {name}!\n"
        options = exchange.route.options.get("hello")
        if isinstance(options, Hello.RouteOptions) and options.is_loud:
            text = text.upper()
        body = text.encode()
        return Response(200, Fields([(b"Content-Type", b"text/plain; charset=utf-8")]), body, len(body))

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Sign the answer, whoever gave it."""
        response.fields.set("x-greeted-by", "headgate-plugin-hello")
