"""Clients that send or read too slowly give their place back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from headgate.inference import completions
from headgate.inference.serve import ServeOptions, load_service
from headgate.inference.server import build_app
from headgate.inference.service import Service

SHORT_S = 0.3
BOUND_S = 20


@asynccontextmanager
async def _serving(checkpoint: Path) -> AsyncIterator[tuple[Service, int]]:
    """Serve in this process, with small buffers, so that an unread answer fills them at once."""
    service = load_service(ServeOptions(checkpoint, "127.0.0.1", 0, "sample", 1, 0, 0))
    service.worker.start()
    runner = web.AppRunner(
        build_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=1.0, lingering_time=0.1
    )
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await web.SockSite(runner, listener).start()
    try:
        async with asyncio.timeout(BOUND_S):
            yield service, listener.getsockname()[1]
    finally:
        service.worker.stop()
        await runner.cleanup()


def test_client_that_stops_reading_is_cut_off(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(completions, "WRITE_TIMEOUT_S", SHORT_S)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with _serving(checkpoint) as (service, port):
            with socket.socket() as client:
                client.setblocking(False)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                await loop.sock_connect(client, ("127.0.0.1", port))
                body = {"model": "sample", "messages": [{"role": "user", "content": "x"}], "stream": True}
                data = orjson.dumps(body)
                head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(data)
                await loop.sock_sendall(client, head + data)
                await loop.sock_recv(client, 1)
                assert service.admission.active_count == 1
                # The only place there is comes free although the client neither reads nor leaves.
                await service.admission.wait_idle()
            assert service.metrics.aborted == 1
            assert service.worker.generated_tokens < 10_000

    asyncio.run(main())
    # That a client is gone is no failure of the server.
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_body_that_does_not_come_is_408_and_closes(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "BODY_TIMEOUT_S", SHORT_S)

    async def main() -> None:
        async with _serving(checkpoint) as (service, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close\r\n" in answer.lower()
            assert b'"code":"body_timeout"' in await reader.read()
            writer.close()
            await writer.wait_closed()
            assert service.admission.active_count == 0

    asyncio.run(main())
