"""The command `headgate-inference train`: from a corpus to a checkpoint folder."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from .config import read_config
from .tokenizer import read_tokenizer
from .training.corpus import CorpusError, read_corpus
from .training.export import write_checkpoint, write_json
from .training.loop import LossPoint, Trained, train
from .training.recall import measure_recall
from .training.recipe import RECIPES
from .weights import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `headgate-inference train`."""
    parser.add_argument("--corpus", type=Path, required=True, metavar="FILE", help="questions and answers, JSON lines")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the checkpoint to")
    parser.add_argument("--size", choices=sorted(RECIPES), required=True, help="which of the two models to make")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="equal seeds give equal models (default 1)")
    parser.add_argument(
        "--minutes",
        type=_minutes,
        metavar="M",
        help="shorten the schedule to this time; the result then depends on the machine's speed (default: all steps)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, write the checkpoint folder and measure it; give the exit code."""
    try:
        entries = read_corpus(args.corpus)
        args.out.mkdir(parents=True, exist_ok=True)
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{args.out}: cannot be made: {error.strerror}", file=sys.stderr)
        return 2
    # One thread adds up in one order whatever the number of cores; two models can be trained side by side.
    torch.set_num_threads(1)
    started = time.monotonic()
    limit_s = None if args.minutes is None else args.minutes * 60
    trained = train(entries, RECIPES[args.size], args.seed, limit_s=limit_s, report=_print_point)
    seconds = time.monotonic() - started
    write_checkpoint(trained, args.out)
    recall = measure_recall(load_model(args.out, read_config(args.out)), read_tokenizer(args.out), entries)
    facts = {**_describe_run(args, trained, seconds), "recall": recall}
    write_json(args.out / "training.json", {**facts, "loss": [asdict(point) for point in trained.points]})
    print(f"{args.out}: {trained.steps} steps in {seconds:.0f} s; {recall}")
    return 0


def _describe_run(args: argparse.Namespace, trained: Trained, seconds: float) -> dict[str, object]:
    """Everything needed to make the same model again."""
    recipe = RECIPES[args.size]
    return {
        "size": args.size,
        "seed": args.seed,
        "corpus_sha256": hashlib.sha256(args.corpus.read_bytes()).hexdigest(),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 1),
        "steps": trained.steps,
        "is_shortened": trained.steps < recipe.steps,
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "recipe": asdict(recipe),
    }


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of minutes above 0, got {text!r}")
    return value


def _print_point(point: LossPoint) -> None:
    load = f"busiest expert {point.busiest_expert_load:.2f} x mean"
    print(f"step {point.step}: loss {point.loss:.4f}, {load}", flush=True)
