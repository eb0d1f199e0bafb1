"""Command line of the model tier: `headgate-inference serve` and `headgate-inference train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

MAX_THREADS = 256
_EXTRA = ("torch", "safetensors", "tokenizers", "jinja2", "numpy")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit code: 0, 1 (it failed) or 2 (the command line or a file is wrong)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _train(arguments[1:]) if arguments[:1] == ["train"] else _serve(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        return _fail(f"{error.name} is not installed; run: pip install 'headgate[inference]'", 1)
    except KeyboardInterrupt:
        return 130


def _serve(arguments: list[str]) -> int:
    parsed = _parser().parse_args(arguments)
    from .config import CheckpointError
    from .serve import ServeOptions, serve

    host, port = parsed.listen
    model_dir: Path = parsed.model_dir
    options = ServeOptions(
        model_dir,
        host,
        port,
        parsed.name or model_dir.resolve().name,
        parsed.threads,
        parsed.max_waiting,
        parsed.grace_s,
    )
    try:
        return serve(options)
    except CheckpointError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --listen", 1)


def _train(arguments: list[str]) -> int:
    from .train import add_arguments, run

    parser = argparse.ArgumentParser(prog="headgate-inference train", description="Train a small model.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headgate-inference", description="Serve or train DeepSeek-V2 and V3 shaped models on the CPU."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("train", help="train a small model; see: headgate-inference train --help")
    serve = commands.add_parser("serve", help="serve a checkpoint over an OpenAI-compatible HTTP API")
    serve.add_argument(
        "model_dir", metavar="MODEL_DIR", type=Path, help="folder with config.json, *.safetensors and tokenizer.json"
    )
    serve.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=_address,
        default=("127.0.0.1", 8000),
        help="address to listen on; port 0 takes a free one (default: 127.0.0.1:8000)",
    )
    serve.add_argument("--name", help="name of the model in the API (default: the folder's name)")
    serve.add_argument(
        "--threads",
        type=_at_least(1, MAX_THREADS),
        default=1,
        help="threads of the model; small models are fastest on 1 (default: 1)",
    )
    serve.add_argument(
        "--max-waiting",
        metavar="N",
        type=_at_least(0),
        default=64,
        help="requests that may wait; more are answered 503 (default: 64)",
    )
    serve.add_argument(
        "--grace-s",
        metavar="SECONDS",
        type=_at_least(0),
        default=30,
        help="how long running requests may go on after SIGTERM (default: 30)",
    )
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host, int(port)


def _at_least(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return whole_number


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"headgate-inference: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
