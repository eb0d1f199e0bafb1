"""What a reload leaves behind is closed once, after its last exchange, however many reloads came in between."""

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
        self.num_closed = 0

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: object) -> None:
        """See nothing."""

    def close(self) -> None:
        self.num_closed += 1


class Stand:
    """A gateway without listeners; its configurations are told by the number of the plugin."""

    def __init__(self) -> None:
        self._types, self._waiting = PluginTypes(given={"kept": Kept}), list[Config]()
        registry = Registry()
        first = build(self._read(1, "a"), self._types, registry)
        self.gateway = Gateway(first, Observer(registry, AccessLog("off")))
        self.reloader = Reloader(self.gateway, lambda _: self._waiting.pop(), self._types, registry)

    def _read(self, number: int, path: str) -> Config:
        return load(TEXT.format(number=number, path=path), self._types.schemas())

    @property
    def kept(self) -> Kept:
        """The plugin in force."""
        kept: Kept = self.gateway.snapshot.instances["kept"]
        return kept

    async def reload(self, number: int, path: str = "a") -> None:
        self._waiting.append(self._read(number, path))
        await self.reloader.reload()

    async def retired(self, bound_s: float) -> None:
        """Wait until nothing is left to be closed, or for so long."""
        assert self.reloader.retiring is not None
        await asyncio.wait((self.reloader.retiring,), timeout=bound_s)


def test_a_plugin_that_went_through_two_reloads_is_closed_after_the_oldest_exchange() -> None:
    async def main() -> None:
        stand = Stand()
        first, kept = stand.gateway.snapshot, stand.kept
        first.num_exchanges = 1
        await stand.reload(1, "b")
        assert stand.kept is kept
        await stand.reload(2, "b")
        assert stand.kept.number == 2
        await stand.retired(0.5)
        assert not kept.num_closed
        first.num_exchanges = 0
        await stand.retired(10)
        assert (kept.num_closed, stand.kept.num_closed) == (1, 0)

    asyncio.run(main())


def test_what_is_still_in_use_when_the_gateway_closes_is_closed_with_it() -> None:
    async def main() -> None:
        stand = Stand()
        first, all_kept = stand.gateway.snapshot, [stand.kept]
        first.num_exchanges = 1
        await stand.reload(1, "b")  # goes on with it
        for number in (2, 3):
            await stand.reload(number)
            all_kept.append(stand.kept)
        await stand.gateway.close()
        assert [kept.num_closed for kept in all_kept] == [1, 1, 1]
        first.num_exchanges = 0  # cut, and over at last
        await stand.retired(10)
        assert [kept.num_closed for kept in all_kept] == [1, 1, 1]

    asyncio.run(main())


def test_what_each_of_many_reloads_leaves_is_closed() -> None:
    async def main() -> None:
        stand = Stand()
        all_kept = [stand.kept]
        for number in (2, 3):
            await stand.reload(number)
            all_kept.append(stand.kept)
            await stand.retired(10)
        assert [kept.num_closed for kept in all_kept] == [1, 1, 0]

    asyncio.run(main())
