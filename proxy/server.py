"""Binds the listeners, runs until told to stop, drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..ext.http1 import HeadLimits
from ..ext.limiter_cells import Limit
from .address_limit import AddressLimit
from .admin import Admin
from .admin_calls import AdminCalls
from .certificates import Certificate
from .config.addresses import Address
from .config.schema import Config
from .config.schema_listener import Listener
from .counting import Counting, Places, address_table, listener_key
from .downstream.acceptor import Acceptor
from .downstream.plain_listener import Spread, take
from .downstream.settings import ListenerSettings
from .downstream.tls_listener import TlsListener
from .gateway import Gateway
from .lane.acceptor import new_acceptor
from .reload import Reloader
from .tasks import spawn

if TYPE_CHECKING:
    from .workers.inherited import Inherited

_log = logging.getLogger("headgate")
_BACKLOG = 4096
_POLL_S = 0.02


class BindError(OSError):
    """An address that cannot be listened on."""


@dataclass(slots=True)
class BoundListener:
    """A listener that accepts."""

    settings: Listener
    acceptor: Acceptor
    server: asyncio.Server | TlsListener
    certificate: Certificate | None
    address: Address


class Server:
    """The running gateway: listeners, admin address, signals."""

    def __init__(
        self,
        gateway: Gateway,
        reloader: Reloader | None = None,
        counting: Counting | None = None,
        inherited: Inherited | None = None,
    ) -> None:
        """`counting` is where limits are counted, `inherited` what a worker has from its parent."""
        self._gateway = gateway
        self._reloader = reloader
        self._counting = counting or Counting()
        self._bound = inherited.bind if inherited is not None else bind
        self._handover = inherited.handover if inherited is not None else None
        self._listeners: list[BoundListener] = []
        self._admin: Admin | None = None
        self._stopping = asyncio.Event()
        self._num_reloads = 0

    @property
    def addresses(self) -> list[Address]:
        """Where clients reach the gateway, ports filled in."""
        return [listener.address for listener in self._listeners]

    @property
    def admin_address(self) -> Address | None:
        """Where operators reach it."""
        return self._admin.address if self._admin is not None else None

    async def start(self, config: Config) -> None:
        """Bind everything, and obey signals from here on. Raises: BindError; then nothing stays bound."""
        loop = asyncio.get_running_loop()
        # Before anybody can know that we listen: a signal that comes first would end the process.
        for number, handler in (
            (signal.SIGTERM, self._stopping.set),
            (signal.SIGINT, self._stopping.set),
            (signal.SIGHUP, self._reload),
        ):
            loop.add_signal_handler(number, handler)
        await self.listen(config)

    async def listen(self, config: Config) -> None:
        """Bind everything. Raises: BindError; then nothing stays bound."""
        loop = asyncio.get_running_loop()
        try:
            for listener in config.listeners:
                self._listeners.append(await self._bind(listener, loop))
            if config.admin is not None:
                self._admin = Admin(self._gateway, AdminCalls(self._gateway, self._reloader, config.admin))
                await self._admin.start(self._bound(config.admin.address), self._counting.slots)
            if self._handover is not None:
                self._handover.start(loop)
        except BaseException:
            self._close_listeners()
            raise

    async def _bind(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> BoundListener:
        certificate = None
        if listener.tls is not None:
            certificate = Certificate(str(listener.tls.certificate), str(listener.tls.key), listener.tls.reload)
            certificate.start(loop)
        acceptor = self._acceptor(listener)
        bound = self._bound(listener.address)
        server: asyncio.Server | TlsListener
        number, handover = len(self._listeners), self._handover
        if certificate is not None:
            server = TlsListener(acceptor, bound, certificate.context, listener.timeouts.head)
            server.share = handover.share(number, server.take) if handover is not None else None
            server.start(_BACKLOG)
        elif handover is None:
            server = await loop.create_server(acceptor, sock=bound, backlog=_BACKLOG)
        else:
            spread = Spread(acceptor, handover.share(number, partial(take, acceptor)))
            server = await loop.create_server(spread, sock=bound, backlog=_BACKLOG)
        host, port = bound.getsockname()[:2]
        return BoundListener(listener, acceptor, server, certificate, Address(host, port))

    def _acceptor(self, listener: Listener) -> Acceptor:
        number, settings = len(self._listeners), listener_settings(listener)
        limit = None
        if (rule := listener.rate_limit) is not None:
            cells = self._counting.make_cells(address_table(number), rule.max_addresses, forgets=True)
            limit = AddressLimit(Limit.of(rule.rate.amount, rule.rate.per_s, rule.burst), cells)
        places = Places(self._counting.slots, listener_key(number), settings.max_connections)
        return new_acceptor(self._gateway, settings, limit, places)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. SIGHUP reloads."""
        await self._stopping.wait()
        await self.drain(self._gateway.snapshot.config.drain)

    def stop(self) -> None:
        """Begin to drain, as SIGTERM does."""
        self._stopping.set()

    async def drain(self, grace_s: float) -> None:
        """Take no new connections, let exchanges finish for `grace_s`, then give the rest a typed end."""
        self._gateway.is_draining = True  # readiness says 503 from here on
        for listener in self._listeners:
            listener.server.close()
            listener.acceptor.drain()
        if self._handover is not None:
            self._handover.stop(asyncio.get_running_loop())
        if not await self._wait_idle(grace_s):
            for listener in self._listeners:
                listener.acceptor.cut()
            await self._wait_idle(2.0)
        self._close_listeners()
        if self._admin is not None:
            await self._admin.stop()
        await self._gateway.close()

    async def _wait_idle(self, bound_s: float) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + bound_s
        while any(listener.acceptor.num_open for listener in self._listeners):
            if loop.time() >= until:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._num_reloads -= 1

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.server.close()
            if listener.certificate is not None:
                listener.certificate.stop()
            for connection in listener.acceptor.connections:
                with contextlib.suppress(RuntimeError):
                    connection.force_close()

    def _reload(self) -> None:
        with contextlib.suppress(OSError):  # it stays where it is
            self._gateway.observer.access_log.reopen()
        if self._reloader is None:
            _log.warning("nothing to reload: the gateway runs without a configuration file")
            return
        if self._num_reloads < 2:  # one that runs, one that sees what changed since it began
            self._num_reloads += 1
            spawn(self._reloader.reload_logged(), "reload on SIGHUP").add_done_callback(self._reloaded)
        for listener in self._listeners:
            if listener.certificate is not None:
                with contextlib.suppress(OSError):  # an SSLError is one; the watcher says what is wrong
                    listener.certificate.reload()


def bind(address: Address, *, is_shared: bool = False) -> socket.socket:
    """Return a socket bound to `address`; where `is_shared` others may be, too. Raises: BindError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        found = socket.getaddrinfo(
            address.host, address.port, family if _is_ip(address.host) else 0, socket.SOCK_STREAM
        )
        bound = socket.socket(found[0][0], socket.SOCK_STREAM)
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {error.strerror or error}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(found[0][4])
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        hint = "; another program listens there: stop it, or choose another port" if error.errno == 98 else ""
        raise BindError(f"cannot listen on {address}: {(error.strerror or str(error)).lower()}{hint}") from None
    return bound


def _is_ip(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def listener_settings(listener: Listener) -> ListenerSettings:
    """Return a listener's settings as its connections read them."""
    limits, timeouts = listener.limits, listener.timeouts
    return ListenerSettings(
        head_limits=HeadLimits(limits.line, limits.head, limits.fields),
        max_connections=limits.connections,
        head_timeout_s=timeouts.head,
        body_timeout_s=timeouts.body,
        idle_timeout_s=timeouts.idle,
        write_timeout_s=timeouts.write,
        tunnel_timeout_s=timeouts.tunnel,
        trusted_proxies=listener.trusted_proxies,
        forwarded=listener.forwarded,
        is_tls=listener.tls is not None,
    )
