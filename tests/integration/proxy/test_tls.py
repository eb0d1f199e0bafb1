"""TLS on listeners and to clusters."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from ...http_client import Answer, Client, fetch
from ...running import gateway, plain
from ...upstream import Call, Upstream, upstream


async def ok(call: Call) -> None:
    await call.answer()


def listener(folder: Path, authority: trustme.CA, **more: Any) -> dict[str, Any]:
    write_certificate(folder, authority)
    tls = {"certificate": str(folder / "chain.pem"), "key": str(folder / "key.pem"), **more}
    return {"address": "127.0.0.1:0", "tls": tls}


def write_certificate(folder: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("gate.test")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())


async def ask(port: int, authority: trustme.CA) -> Answer:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="gate.test")
    try:
        return await Client(reader, writer).request("GET", "/")
    finally:
        writer.close()


def test_a_listener_speaks_tls_and_upstreams_are_told_so(tmp_path: Path) -> None:
    authority = trustme.CA()
    told: list[str] = []

    async def note(call: Call) -> None:
        told.extend(call.fields("x-forwarded-proto"))
        await call.answer()

    async def main() -> Answer:
        async with (
            upstream(note) as served,
            gateway({**plain(served.url), "listeners": [listener(tmp_path, authority)]}) as gate,
        ):
            return await ask(gate.port, authority)

    assert asyncio.run(main()).status == 200
    assert told == ["https"]


def test_a_changed_certificate_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    before, after = trustme.CA(), trustme.CA()

    async def main() -> None:
        async with upstream(ok) as served:
            config = {**plain(served.url), "listeners": [listener(tmp_path, before, reload="100ms")]}
            async with gateway(config) as gate:
                assert (await ask(gate.port, before)).status == 200
                (tmp_path / "chain.pem").write_text("half a file")  # not taken
                with pytest.raises(ssl.SSLError):
                    await ask(gate.port, after)
                write_certificate(tmp_path, after)
                async with asyncio.timeout(10):
                    while True:
                        try:
                            assert (await ask(gate.port, after)).status == 200
                            break
                        except ssl.SSLError:
                            await asyncio.sleep(0.02)

    asyncio.run(main())


async def secure_upstream(authority: trustme.CA, name: str) -> tuple[asyncio.Server, Upstream]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    served = Upstream(ok)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=context)
    served.port = server.sockets[0].getsockname()[1]
    return server, served


@pytest.mark.parametrize(
    ("tls", "name", "status"),
    [
        ({"ca": "right", "sni": "service.test"}, "service.test", 200),
        ({"ca": "right"}, "127.0.0.1", 200),
        ({"ca": "right", "sni": "service.test"}, "other.test", 502),
        ({"ca": "wrong", "sni": "service.test"}, "service.test", 502),
        ({"sni": "service.test"}, "service.test", 502),
        ({"verify": False}, "other.test", 200),
    ],
)
def test_a_cluster_is_verified_by_its_own_authority_and_name(
    tmp_path: Path, tls: dict[str, Any], name: str, status: int
) -> None:
    authorities = {"right": trustme.CA(), "wrong": trustme.CA()}
    for label, authority in authorities.items():
        authority.cert_pem.write_to_path(str(tmp_path / f"{label}.pem"))
    if "ca" in tls:
        tls = {**tls, "ca": str(tmp_path / f"{tls['ca']}.pem")}

    async def main() -> Answer:
        server, served = await secure_upstream(authorities["right"], name)
        async with server:
            config = plain(f"https://127.0.0.1:{served.port}")
            config["clusters"]["t0"]["tls"] = tls
            async with gateway(config) as gate:
                return await fetch(gate.port)

    answer = asyncio.run(main())
    assert answer.status == status
    if status == 502:
        assert answer.json()["type"] == "urn:headgate:error:tls_failed"


def test_the_log_says_what_put_a_service_out_of_order_that_is_not_asked_any_more() -> None:
    async def main() -> list[dict[str, Any]]:
        server, served = await secure_upstream(trustme.CA(), "127.0.0.1")
        async with server:
            config = plain(f"https://127.0.0.1:{served.port}")
            config["clusters"]["t0"] |= {"breaker": {"failures": 1}, "retry_budget": {"ratio": 0, "floor": 0}}
            async with gateway(config) as gate:
                assert [(await fetch(gate.port)).status for _ in range(2)] == [502, 503]
                await gate.until(lambda: len(gate.log()) == 2)
                return gate.log()

    first, second = asyncio.run(main())
    assert (first["error"], second["error"], second["attempts"]) == ("tls_failed", "unavailable", 0)
    assert "certificate verify failed" in first["detail"]
    assert second["detail"] == f"not asked, for what failed before: {first['failures'][0]}"
