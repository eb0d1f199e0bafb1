"""`headgate plugins bench`: what the plugins of a configuration cost.

What the command needs is imported when it runs, as in `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .usage_error import UsageError

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..plugin_types import PluginTypes
    from ..prices.measure import RoutePrices
    from ..prices.of_config import Wanted

_ABOUT = """\
Tell the price of each plugin: processor time that it adds to one exchange of a route, in microseconds.

The configuration is loaded as by `serve`. Exchanges are led through the stages of each route in this process, with all
plugins and without each of them in turn, in many small rounds; the price is the median of the differences. Targets
answer at once, from memory: no connection is opened to them and no listener is bound.

Not measured: what a plugin waits for (answers of others, disks, locks), what it does between exchanges, memory, and
the exchange around the stages (reading the request, connections, the network).

Plugins do what they do when serving: limits and quotas are charged, files and caches written, keys fetched. Give a
configuration with limits, files and services that may be used up.
"""


def add_action(actions: Any) -> None:
    """Add `bench` to the actions of `plugins`."""
    bench = actions.add_parser(
        "bench",
        help="measure the price of each plugin of a configuration",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("config", metavar="CONFIG", type=Path, help="configuration file (YAML)")
    bench.add_argument("--route", action="append", default=[], metavar="NAME", help="only this route; may be repeated")
    bench.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="a field of the requests, as a credential"
    )
    bench.add_argument("--body", metavar="FILE", type=Path, help="body of the requests (default: a chat's, or none)")
    bench.add_argument("--rounds", metavar="N", type=_rounds, default=100, help="default %(default)s")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(run=run_bench)


def run_bench(options: argparse.Namespace) -> int:
    """Print what plugins cost; exit 1 where nothing could be measured."""
    import uvloop

    from ..config.load import load
    from ..plugin_types import PluginTypes
    from ..prices.measure import Effort
    from ..prices.of_config import Wanted

    types = PluginTypes()
    config = load(options.config, types.schemas())
    _check_routes(options.route, config)
    body = options.body.read_bytes() if options.body is not None else None
    wanted = Wanted(tuple(options.route), _fields(options.header), body, Effort(options.rounds))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_measured(config, types, wanted, is_shown=not options.json))
    if options.json:
        print(json.dumps({"rounds": options.rounds, "routes": [asdict(each) for each in found]}, indent=1))
    return 0 if found else 1


async def _measured(config: Config, types: PluginTypes, wanted: Wanted, *, is_shown: bool) -> Sequence[RoutePrices]:
    from ..prices.of_config import prices_in
    from ..prices.shown import lines_of

    measured = []
    async for found in prices_in(config, types, wanted):
        if isinstance(found, ValueError):
            print(f"headgate: {found}", file=sys.stderr)
            continue
        measured.append(found)
        if is_shown:
            print("\n".join(lines_of(found)), flush=True)
    return measured


def _check_routes(names: Sequence[str], config: Config) -> None:
    from ..config.wording import did_you_mean

    known = [route.name for route in config.routes]
    for name in names:
        if name not in known:
            raise UsageError(f"--route: unknown route {name!r}{did_you_mean(name, known)}")
        if not config.plugins_of(config.routes[known.index(name)]):
            raise UsageError(f"--route: expected a route with plugins in its stages, {name!r} has none")
    if not any(config.plugins_of(route) for route in config.routes):
        raise UsageError("expected a configuration with plugins in the stages of a route, there is none")


def _fields(texts: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or not text.isascii():
            raise UsageError(f"expected --header NAME:VALUE in ASCII, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"expected a number of rounds from 1 to 100000, got {text!r}")
    return int(text)
