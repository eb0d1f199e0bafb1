"""`headgate fault-upstream`: its arguments, its end, and what is bounded in its process."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from headgate.proxy.config.addresses import Address
from headgate.proxy.faults import server
from headgate.proxy.faults.catalogue import KINDS
from headgate.proxy.faults.connection import Connection
from headgate.proxy.faults.listening import bind
from headgate.proxy.faults.settings import Settings

from .fault_process import fault_process
from .raw_peer import CHAT, raw_peer

PATH = "/v1/chat/completions"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "headgate.proxy", "fault-upstream", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)


def test_every_fault_is_listed() -> None:
    done = command("--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(any(line.startswith(kind.form) for line in done.stdout.splitlines()) for kind in KINDS.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fault", "cutt"), 'headgate: --fault: got the fault "cutt", did you mean `cut`? wanted one of well, 429'),
        (("--fault", "500", "--fault", "cut:x"), 'headgate: --fault: got "x" for k of cut, wanted a whole number'),
        (("--fault", "500,at=heavy"), "headgate: --fault: got at=heavy in a script"),
        (("--listen", "nonsense"), 'headgate: --listen: got "nonsense", wanted an address'),
        (("--tokens", "-1"), "headgate: --tokens: got -1, wanted a whole number from 0 to 100000"),
        (("--pace", "fast"), 'headgate: --pace: got "fast", wanted a duration'),
        (("--name", "a b"), 'headgate: --name: got "a b", wanted'),
    ],
)
def test_a_wrong_argument_is_one_clear_line(arguments: tuple[str, ...], message: str) -> None:
    done = command("--listen", "127.0.0.1:0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_text_and_tokens_exclude_each_other() -> None:
    done = command("--text", "a", "--tokens", "3")
    assert (done.returncode, "not allowed with argument" in done.stderr) == (2, True)


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("headgate: cannot listen on 127.0.0.1:")
    assert "another program listens there" in done.stderr and done.stderr.count("\n") == 1


def test_it_is_as_the_command_line_says() -> None:
    arguments = ("--fault", "500,once", "--fault", "cut:1,once", "--name", "lite", "--tokens", "3", "--pace", "1ms")
    with fault_process(*arguments) as faults:
        shown = faults.call("GET", "/faults")
        assert (shown["script"], shown["name"], shown["pace"]) == (["500,once", "cut:1,once"], "lite", "1ms")
        assert faults.ask("POST", PATH, CHAT)[0] == 500
        with pytest.raises(ConnectionResetError):
            faults.ask("POST", PATH, CHAT)
        assert faults.call("POST", PATH, CHAT)["choices"][0]["message"]["content"] == "the0 café1 Zürich2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_whatever_is_held(number: signal.Signals) -> None:
    with fault_process("--fault", "silence") as faults, raw_peer(faults.port) as peer:
        peer.send()
        faults.until(len)
        faults.process.send_signal(number)
        assert peer.rest()[0] == b""
        assert faults.process.wait(20) == 0


def test_it_may_begin_by_refusing() -> None:
    with fault_process("--fault", "refuse:1s") as faults, pytest.raises(ConnectionRefusedError):
        faults.ask("GET", "/health")


def test_a_port_that_is_refused_on_is_not_given_away() -> None:
    with fault_process() as faults:
        faults.call("PUT", "/faults", ["refuse:20s"])
        done = command("--listen", f"127.0.0.1:{faults.port}")
        assert (done.returncode, "another program listens there" in done.stderr) == (1, True)


def test_ipv6_is_an_address() -> None:
    with fault_process(listen="[::1]:0") as faults:
        assert faults.url.startswith("http://[::1]:")


class Counting(server.FaultServer):
    """Tells when a connection was counted out."""

    has_room: asyncio.Event

    def closed(self, connection: Connection) -> None:
        super().closed(connection)
        self.has_room.set()


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)

    async def main() -> None:
        served = Counting(Settings(), (), bind(Address("127.0.0.1", 0)))
        served.has_room = asyncio.Event()
        served.start()
        port = int(served.address.rpartition(":")[2])
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        with pytest.raises(ConnectionResetError):
            await opened[2][0].read()
        served.has_room.clear()
        opened[0][1].close()
        await served.has_room.wait()
        opened.append(await asyncio.open_connection("127.0.0.1", port))
        for reader, writer in (opened[1], opened[3]):
            writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        for _, writer in opened:
            writer.close()
        served.close()

    asyncio.run(asyncio.wait_for(main(), 20))
