"""The plugin: what a route changes."""

from __future__ import annotations

from collections.abc import Mapping

from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.verdicts import Reject
from .config import RequestFields, ResponseFields, TransformOptions
from .target import rewrite
from .template import in_field


class Transform:
    """Change path, query and fields of requests, and fields of answers, as a route's options say."""

    RouteOptions = TransformOptions

    def __init__(self) -> None:
        self._name = "transform"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name."""
        self._name = setup.name

    @hookimpl
    def headgate_request(self, exchange: Exchange) -> Reject | None:
        """Change the request."""
        options = self._options(exchange)
        if options is None:
            return None
        if options.path is not None or options.query is not None:
            refused = rewrite(exchange, options.path, options.query)
            if refused is not None:
                return refused
        if options.request is not None:
            _edit(exchange, exchange.request.fields, options.request)
        return None

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        """Change the answer."""
        options = self._options(exchange)
        if options is not None and options.response is not None:
            _edit(exchange, response.fields, options.response)

    def _options(self, exchange: Exchange) -> TransformOptions | None:
        options: TransformOptions | None = exchange.route.options.get(self._name)
        return options


def _edit(exchange: Exchange, fields: Fields, edits: RequestFields | ResponseFields) -> None:
    for name in edits.remove:
        fields.remove(name)
    if edits.rename:
        _rename(fields, edits.rename)
    for name, template in edits.set.items():
        fields.set(name, template.fill(exchange, in_field))
    for name, template in edits.append.items():
        fields.add(name, template.fill(exchange, in_field))


def _rename(fields: Fields, names: Mapping[str, str]) -> None:
    """Call fields otherwise, each by its old name: what one is renamed to is not renamed again."""
    values = {new: fields.get_all(old) for old, new in names.items()}
    for old in names:
        fields.remove(old)
    for new, found in values.items():
        if found:
            fields.remove(new)
        for value in found:
            fields.add(new, value)
