"""What a reload leaves behind is closed once nobody uses it, however many reloads came in between."""

from __future__ import annotations

import asyncio

from pydantic import Field

from headgate.proxy.compile import build
from headgate.proxy.config.load import load
from headgate.proxy.config.schema import Config
from headgate.proxy.config.section import Section
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.gateway import Gateway
from headgate.proxy.hookspecs import hookimpl
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.plugin_types import PluginTypes
from headgate.proxy.reload import Reloader

TEXT = """
listeners: [{{address: "127.0.0.1:0"}}]
access_log: "off"
plugins: {{kept: {{number: {number}}}}}
clusters: {{near: {{endpoints: ["http://127.0.0.1:1"]}}}}
routes: [{{match: {{path: "/{path}"}}, targets: [near], stages: {{log: [kept]}}}}]
"""


class Kept:
    class Config(Section):
        number: int = Field(default=1, description="Any number.")

    def __init__(self, config: Config) -> None:
        self.number = config.number
        self.is_closed = False

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: object) -> None:
        """See nothing."""

    def close(self) -> None:
        self.is_closed = True


def test_a_plugin_that_went_through_two_reloads_is_closed_after_the_oldest_exchange() -> None:
    async def main() -> None:
        types, registry = PluginTypes(given={"kept": Kept}), Registry()

        def read(number: int, path: str) -> Config:
            return load(TEXT.format(number=number, path=path), types.schemas())

        waiting = [read(1, "b"), read(2, "b")]
        gateway = Gateway(build(read(1, "a"), types, registry), Observer(registry, AccessLog("off")))
        reloader = Reloader(gateway, lambda _: waiting.pop(0), types, registry)
        first = gateway.snapshot
        kept = first.instances["kept"]
        first.num_exchanges = 1
        await reloader.reload()
        assert gateway.snapshot.instances["kept"] is kept
        await reloader.reload()
        assert gateway.snapshot.instances["kept"].number == 2
        retiring = reloader._retiring
        assert retiring is not None
        await asyncio.wait((retiring,), timeout=0.5)
        assert not kept.is_closed
        first.num_exchanges = 0
        await asyncio.wait((retiring,), timeout=10)
        assert kept.is_closed and not gateway.snapshot.instances["kept"].is_closed

    asyncio.run(main())
