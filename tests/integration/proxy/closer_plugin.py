"""A plugin that writes down when it begins, what it logs, and when it is closed, each with its number. 13 gives up."""

from __future__ import annotations

import os
import sys

from pydantic import BaseModel

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Outcome


class Closer:
    class Config(BaseModel):
        number: int

    def __init__(self, config: Config) -> None:
        self._number = config.number

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        self._note("begins")
        if self._number == 13:
            sys.exit("an unlucky number")

    @hookimpl
    def headgate_log(self, exchange: Exchange, outcome: Outcome) -> None:
        self._note(f"logs {outcome.status}")

    def close(self) -> None:
        self._note("closes")

    def _note(self, what: str) -> None:
        with open(os.environ["NOTES"], "a") as file:
            file.write(f"{self._number} {what}\n")
