"""The address for operators: health, metrics, configuration, reload."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from .config.addresses import Address
from .config.dump import dump
from .config.schema_listener import Admin as AdminConfig
from .gateway import Gateway
from .observe.metrics import CONTENT_TYPE
from .reload import ReloadError

if TYPE_CHECKING:
    from .reload import Reloader

_OPEN = frozenset({"/livez", "/readyz", "/metrics"})
_BODY_BYTES = 64 * 1024


class Admin:
    """Health and metrics for everybody who reaches the address; all else needs the token and a known Host.

    The Host check holds on loopback, too: a page in a browser on the same machine must not get through by a name that
    it made resolve to 127.0.0.1.
    """

    def __init__(self, gateway: Gateway, reloader: Reloader | None, config: AdminConfig) -> None:
        self._gateway = gateway
        self._reloader = reloader
        self._config = config
        self._runner: web.AppRunner | None = None
        self.address = config.address

    async def start(self, bound: socket.socket) -> Address:
        """Serve on a bound socket; return its address."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_BYTES)
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/config", self._show_config),
                web.get("/plugins", self._plugins),
                web.post("/reload", self._reload),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, bound).start()
        host, port = bound.getsockname()[:2]
        return Address(host, port)

    async def stop(self) -> None:
        """Close the address."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path not in _OPEN:
            if not self._is_known_host(request.host):
                return _problem(421, "this host name is not served here: add it under `admin.hosts`")
            if self._config.token is None:
                return _problem(403, "no token is configured: set `admin.token` to use this call")
            if not self._has_token(request.headers.get("Authorization", "")):
                return _problem(401, "expected `Authorization: Bearer` with the token of `admin.token`")
        return await handler(request)

    def _is_known_host(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        known = {"localhost", "127.0.0.1", "::1", self._config.address.host, *self._config.hosts}
        return name.lower() in known

    def _has_token(self, authorization: str) -> bool:
        token = self._config.token
        scheme, _, given = authorization.partition(" ")
        if token is None or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.reveal().encode())

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        state = {
            "is_ready": not self._gateway.is_draining,
            "config_version": self._gateway.snapshot.version,
            "config_error": self._reloader.last_error if self._reloader else None,
        }
        return _json(state, 503 if self._gateway.is_draining else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        body = self._gateway.observer.registry.render()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _show_config(self, request: web.Request) -> web.Response:
        return _json({"version": self._gateway.snapshot.version, "config": dump(self._gateway.snapshot.config)})

    async def _plugins(self, request: web.Request) -> web.Response:
        snapshot = self._gateway.snapshot
        return _json({name: settings.use for name, settings in snapshot.config.plugins.items()})

    async def _reload(self, request: web.Request) -> web.Response:
        if self._reloader is None:
            return _problem(409, "the gateway runs without a configuration file")
        try:
            return _json({"version": await self._reloader.reload()})
        except ReloadError as error:
            return _problem(422, str(error))


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _problem(status: int, detail: str) -> web.Response:
    body = orjson.dumps({"status": status, "detail": detail})
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.Response(body=body, status=status, content_type="application/problem+json", headers=headers)
