"""The certificate of a listener, replaced while it runs."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate.proxy.certificates import Certificate

from ... import virtual_clock

INTERVAL_S = 10.0


class Stand:
    """A certificate in files, and what handshakes are shown."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.write("first.test")
        self.made = Certificate(str(self.certificate), str(self.key), INTERVAL_S)

    def write(self, name: str, *, is_key_wrong: bool = False) -> None:
        pair = self.authority.issue_cert(name)
        other = self.authority.issue_cert(name)
        self._replace(self.key, (other if is_key_wrong else pair).private_key_pem.bytes())
        self._replace(self.certificate, b"".join(blob.bytes() for blob in pair.cert_chain_pems))

    def _replace(self, path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(path)

    def shown(self) -> str:
        """Return the name in the certificate that a handshake gets."""
        client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(client_context)
        client_context.check_hostname = False
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context.wrap_bio(to_client, to_server)
        server = self.made.context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for end in (client, server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        certificate = client.getpeercert()
        assert certificate is not None
        names: Any = certificate["subjectAltName"]
        return str(names[0][1])


async def look() -> None:
    """Let the files be looked at once more."""
    await asyncio.sleep(INTERVAL_S)


def test_a_changed_pair_is_taken_up_for_new_handshakes(tmp_path: Path) -> None:
    async def main() -> None:
        stand = Stand(tmp_path)
        stand.made.start(asyncio.get_running_loop())
        await look()
        assert stand.shown() == "first.test"
        stand.write("second.test")
        assert stand.shown() == "first.test"
        await look()
        assert stand.shown() == "second.test"
        stand.made.stop()
        stand.write("third.test")
        await look()
        assert stand.shown() == "second.test"

    virtual_clock.run(main())


def test_a_pair_that_does_not_fit_is_not_taken_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stand = Stand(tmp_path)
        stand.made.start(asyncio.get_running_loop())
        stand.write("second.test", is_key_wrong=True)
        for _ in range(5):
            await look()
        assert stand.shown() == "first.test"
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        stand.write("third.test")
        await look()
        assert stand.shown() == "third.test"
        stand.made.stop()

    with caplog.at_level(logging.ERROR, "headgate"):
        virtual_clock.run(main())


def test_files_that_are_gone_for_a_moment_change_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        stand = Stand(tmp_path)
        stand.made.start(asyncio.get_running_loop())
        stand.key.unlink()
        await look()
        assert stand.shown() == "first.test"
        with pytest.raises(OSError):
            stand.made.reload()
        assert stand.shown() == "first.test"
        stand.write("second.test")
        await look()
        assert stand.shown() == "second.test"
        stand.made.stop()

    virtual_clock.run(main())


def test_without_an_interval_only_a_reload_takes_it_up(tmp_path: Path) -> None:
    async def main() -> None:
        stand = Stand(tmp_path)
        stand.made = Certificate(str(stand.certificate), str(stand.key), 0)
        stand.made.start(asyncio.get_running_loop())
        stand.write("second.test")
        await asyncio.sleep(1e6)
        assert stand.shown() == "first.test"
        stand.made.reload()
        assert stand.shown() == "second.test"
        stand.made.stop()

    virtual_clock.run(main())


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    assert Stand(tmp_path).made.context.minimum_version == ssl.TLSVersion.TLSv1_2
