"""Load a checkpoint and serve it until told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from aiohttp import web

from .admission import Admission
from .config import CheckpointError, read_config
from .numerics import describe_backend, numerics_id, probe
from .server import build_app
from .service import Service
from .tokenizer import read_tokenizer
from .weights import load_model
from .worker import Worker

_log = logging.getLogger("headgate.inference")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The command line of `serve`, checked."""

    model_dir: Path
    host: str
    port: int
    name: str
    threads: int
    max_waiting: int
    grace_s: float


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; the answer is the exit code.

    Raises: CheckpointError, OSError (address).
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    # Bound first: a taken port shows before a long load.
    with _bind(options.host, options.port) as listener:
        service = load_service(options)
        asyncio.run(_run(service, listener, options))
    return 0


def load_service(options: ServeOptions) -> Service:
    """Load the model, run a few tokens through it and name its numerics.

    Raises: CheckpointError.
    """
    config = read_config(options.model_dir)
    tokenizer = read_tokenizer(options.model_dir)
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{options.model_dir / 'tokenizer.json'}: expected at most vocab_size {config.vocab_size} tokens,"
            f" got {tokenizer.vocab_size}"
        )
    torch.set_num_threads(options.threads)
    model = load_model(options.model_dir, config)
    try:
        probed = probe(model)
    except FloatingPointError as error:
        raise CheckpointError(f"{options.model_dir}: the model does not work: {error}") from None
    backend = describe_backend(options.threads, model.ops)
    return Service(
        name=options.name,
        numerics=numerics_id(options.model_dir, config, backend, probed),
        created=int(datetime.now(UTC).timestamp()),
        config=config,
        tokenizer=tokenizer,
        worker=Worker(model, tokenizer, options.threads),
        admission=Admission(options.max_waiting),
    )


async def _run(service: Service, listener: socket.socket, options: ServeOptions) -> None:
    stopped = _stop_signals()
    service.worker.start()
    # Cancelled handlers are how a client that left stops its generation.
    runner = web.AppRunner(build_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    host, port = listener.getsockname()[:2]
    print(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    await stopped.get()
    _log.info("draining: %d requests inside", service.admission.active_count)
    service.admission.is_draining = True
    await _drain(service, stopped, options.grace_s)
    await asyncio.to_thread(service.worker.stop)
    await runner.cleanup()


def _stop_signals() -> asyncio.Queue[None]:
    """Give a queue that gets one entry for each signal to end."""
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, None)
    return signals


async def _drain(service: Service, stopped: asyncio.Queue[None], grace_s: float) -> None:
    """Wait for those inside, until the grace is over or a second signal comes."""
    idle = asyncio.ensure_future(service.admission.wait_idle())
    again = asyncio.ensure_future(stopped.get())
    await asyncio.wait((idle, again), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    for task in (idle, again):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
