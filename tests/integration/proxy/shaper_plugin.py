"""A plugin that changes answers as the request says."""

from __future__ import annotations

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.verdicts import Reservation


class Shaper:
    """Reads `x-shape` and `x-reserve`; adds to every answer whether it has seen the beginning of a body."""

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reservation | None:
        value = exchange.request.fields.get("x-reserve")
        return (
            None if value is None else Reservation(fields=(("x-r", value.replace("|", "\r\n").replace("e", "\u20ac")),))
        )

    @hookimpl
    def headgate_response_head(self, exchange: Exchange, response: Response) -> None:
        wish = exchange.request.fields.get("x-shape") or ""
        response.fields.set("x-has-bytes", str(isinstance(response.body, bytes)))
        if wish.isdigit():
            response.status = int(wish)
        elif wish:
            response.body = wish.encode()
