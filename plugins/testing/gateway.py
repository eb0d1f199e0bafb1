"""A small real gateway around plugins, inside the test's process: sockets of loopback, port 0."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from ...proxy.compile import build
from ...proxy.config.load import load
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from ...proxy.gateway import Gateway
from ...proxy.hookspecs import STAGES
from ...proxy.observe.access_log import AccessLog
from ...proxy.observe.metrics import Registry
from ...proxy.observe.observer import Observer
from ...proxy.plugin_types import PluginTypes
from ...proxy.server import Server

_FETCH_S = 30.0
_DRAIN_S = 5.0
_HOP_BY_HOP = ("content-length", "transfer-encoding", "connection")
ORIGIN = "origin"
"""The cluster that every route of `gateway_with` goes to."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as the origin got it."""

    method: str
    target: str
    fields: Fields
    body: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer as a client read it, whole."""

    status: int
    fields: Fields
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


Origin = Callable[[Sent], Response]


def echo(sent: Sent) -> Response:
    """Answer with the request, as JSON: `method`, `target`, `fields` (names in lower case), `body`."""
    told = {"method": sent.method, "target": sent.target, "fields": dict(sent.fields), "body": sent.body.decode()}
    return Response(200, Fields([(b"Content-Type", b"application/json")]), json.dumps(told).encode())


@dataclass(slots=True)
class RunningGateway:
    """A gateway that serves. `sent` are the requests that came to the origin; `plugins` the instances by name."""

    port: int
    plugins: Mapping[str, Any]
    registry: Registry
    sent: list[Sent] = field(default_factory=list)

    async def fetch(
        self, method: str = "GET", target: str = "/", body: bytes = b"", fields: Mapping[str, str] | None = None
    ) -> Fetched:
        """Send one request on a connection of its own. Raises: aiohttp.ClientError where no whole answer came."""
        timeout = aiohttp.ClientTimeout(_FETCH_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            url = f"http://127.0.0.1:{self.port}{target}"
            asked = session.request(method, url, data=body or None, headers=fields, allow_redirects=False)
            async with asked as answer:
                return Fetched(answer.status, Fields(answer.raw_headers), await answer.read())

    def metrics(self) -> str:
        """Return what `/metrics` would show."""
        return self.registry.render().decode()


@contextlib.asynccontextmanager
async def gateway_with(
    plugins: Mapping[str, type],
    config: Mapping[str, Any] | str | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    origin: Origin = echo,
) -> AsyncIterator[RunningGateway]:
    """Serve with `plugins`, classes by the name that the configuration calls them; none has to be installed.

    Without a `config` there is one route for everything, to an `origin` of the kit's own, and each plugin stands in
    every stage that it has, with its `settings`. A `config` is a whole one, as a mapping or as YAML; its listeners are
    moved to a free port of loopback, and its cluster `origin` is the kit's own.
    Raises: ConfigErrors, PluginError.
    """
    types = PluginTypes(given=plugins)
    sent: list[Sent] = []
    async with _serving(origin, sent) as url:
        text = json.dumps(_configuration(types, config, settings or {}, (tuple(plugins), url)))
        registry = Registry()
        checked = load(text, types.schemas())
        gateway = Gateway(build(checked, types, registry), Observer(registry, AccessLog("off")))
        server = Server(gateway, counting=types.counting)
        await server.listen(checked)
        gateway.snapshot.start(asyncio.get_running_loop())
        try:
            yield RunningGateway(server.addresses[0].port, gateway.snapshot.instances, registry, sent)
        finally:
            await server.drain(_DRAIN_S)


def _configuration(
    types: PluginTypes,
    config: Mapping[str, Any] | str | None,
    settings: Mapping[str, Mapping[str, Any]],
    around: tuple[tuple[str, ...], str],
) -> dict[str, Any]:
    """Return a whole configuration. `around`: the names of the plugins, and where the origin is."""
    names, url = around
    if config is not None:
        whole = dict(yaml.safe_load(config) if isinstance(config, str) else config)
        whole["listeners"] = [{**each, "address": "127.0.0.1:0"} for each in whole["listeners"]]
        whole["clusters"] = {**(whole.get("clusters") or {}), ORIGIN: {"endpoints": [url]}}
        return whole
    stages = {stage: [name for name in names if stage in types.get(name).stages] for stage in STAGES}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {ORIGIN: {"endpoints": [url]}},
        "plugins": {name: dict(settings.get(name, {})) for name in names},
        "stages": {stage: listed for stage, listed in stages.items() if listed},
        "routes": [{"name": "main", "match": {"path": "/{*rest}"}, "targets": [ORIGIN]}],
        "access_log": "off",
    }


@contextlib.asynccontextmanager
async def _serving(origin: Origin, sent: list[Sent]) -> AsyncIterator[str]:
    """Serve `origin` on a free port; yield its URL."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        got = Sent(request.method, request.raw_path, Fields(request.raw_headers), await request.read())
        sent.append(got)
        response = origin(got)
        if not isinstance(response.body, bytes):
            raise TypeError(f"expected an answer of the origin with a body of bytes, got {type(response.body)}")
        fields = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.fields.raw
            if name.lower().decode("latin-1") not in _HOP_BY_HOP
        ]
        return web.Response(status=response.status, headers=fields, body=response.body)

    runner = web.ServerRunner(web.Server(answer), handle_signals=False, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
