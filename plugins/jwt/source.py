"""The keys of one issuer as they are known now, and when they are fetched."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from ...proxy.tasks import spawn
from .fetch import Fetch
from .keys import BadKeysError, Key, KeySet

MAX_UNKNOWN_KIDS = 1024
_UNKNOWN_COOLDOWNS = 4
_FIRST_RETRY_S = 1.0
_log = logging.getLogger("headgate.plugins.jwt")
Told = Callable[[str], None]  # of the result of a fetch


@dataclass(frozen=True, slots=True)
class Pace:
    """How often keys are fetched, and how long they are used where they cannot be."""

    refresh_s: float
    cooldown_s: float
    stale_s: float


class Keys(Protocol):
    """The keys of one issuer. `version` changes whenever one was withdrawn: what it has proven counts no more.

    They may be used before `usable_until`, an instant of the loop's clock, as all instants here.
    """

    @property
    def version(self) -> int: ...

    @property
    def usable_until(self) -> float: ...

    @property
    def next_at(self) -> float:
        """When keys may be fetched again."""

    def find(self, kid: str | None, algorithm: str, now: float) -> Key | None:
        """Return the key that a token names, if it is known and may be used."""

    def fetching(self, kid: str | None, now: float) -> asyncio.Task[None] | None:
        """Return the fetch that may bring a key that was not found; None: waiting would not help."""

    def missed(self, kid: str | None, now: float) -> None:
        """Note a kid that the newest keys do not have."""

    def begin(self, now: float) -> None:
        """Fetch, unless that is under way or too soon."""

    def close(self) -> None:
        """Fetch no more."""


class StaticKeys:
    """Keys that stand in the configuration."""

    version = 0
    usable_until = next_at = float("inf")

    def __init__(self, keys: KeySet, *, is_secret: bool) -> None:
        self._keys = keys
        self._is_secret = is_secret

    def find(self, kid: str | None, algorithm: str, now: float) -> Key | None:
        """Return the key; a secret is the only one, whatever its issuer calls it."""
        return self._keys.find(None if self._is_secret else kid, algorithm)

    def fetching(self, kid: str | None, now: float) -> None:
        """Nothing is ever fetched."""

    def missed(self, kid: str | None, now: float) -> None:
        """There is nothing to be asked again."""

    def begin(self, now: float) -> None:
        """Nothing is to begin."""

    def close(self) -> None:
        """Nothing is under way."""


class FetchedKeys:
    """Keys that are fetched: one fetch at a time, and never two within the cooldown, whoever asks for what.

    After failures the next one comes after 1, 2, 4, … seconds, up to the cooldown.
    """

    def __init__(self, name: str, fetch: Fetch, pace: Pace, told: Told) -> None:
        self._name = name
        self._fetch = fetch
        self._pace = pace
        self._told = told
        self._keys = KeySet(())
        self._fetched_at = float("-inf")
        self._num_failures = 0
        self._unknown: OrderedDict[str, float] = OrderedDict()  # kids that a fetch did not bring, until when
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.next_at = float("-inf")
        self.version = 0

    @property
    def usable_until(self) -> float:
        """When keys that cannot be fetched anew end."""
        return self._fetched_at + self._pace.refresh_s + self._pace.stale_s

    def find(self, kid: str | None, algorithm: str, now: float) -> Key | None:
        """Return the key that a token names, if it is known and may be used. Keys of age are fetched anew meanwhile."""
        if now - self._fetched_at > self._pace.refresh_s:
            self.begin(now)
        return self._keys.find(kid, algorithm) if now < self.usable_until else None

    def fetching(self, kid: str | None, now: float) -> asyncio.Task[None] | None:
        """Return the fetch that may bring a key that was not found; None: waiting would not help."""
        if now >= self.usable_until or (kid is not None and self._unknown.get(kid, now) <= now):
            self.begin(now)
        return self._task

    def begin(self, now: float) -> None:
        """Fetch, unless that is under way or too soon."""
        if self._task is None and now >= self.next_at and not self._is_closed:
            self.next_at = now + self._pace.cooldown_s
            self._task = spawn(self._renew(now), "jwt-keys")

    def missed(self, kid: str | None, now: float) -> None:
        """Note a kid that newest keys do not have: for a while it is no reason for another fetch."""
        if kid is not None and self._num_failures == 0:
            self._unknown.pop(kid, None)
            self._unknown[kid] = now + _UNKNOWN_COOLDOWNS * self._pace.cooldown_s
            if len(self._unknown) > MAX_UNKNOWN_KIDS:
                self._unknown.popitem(last=False)

    def close(self) -> None:
        """Fetch no more."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()

    async def _renew(self, began_at: float) -> None:
        try:
            self._take(await self._fetch(), began_at)
        except (OSError, TimeoutError, aiohttp.ClientError, BadKeysError) as error:
            self._failed(error, asyncio.get_running_loop().time())
        finally:
            self._task = None

    def _take(self, keys: KeySet, began_at: float) -> None:
        withdrawn = {key.material for key in self._keys.keys} - {key.material for key in keys.keys}
        if withdrawn:
            self.version += 1
        self._keys, self._fetched_at = keys, began_at
        if self._num_failures:
            _log.info("%s: its keys were fetched again", self._name)
        self._num_failures = 0
        self._told("ok")

    def _failed(self, error: Exception, now: float) -> None:
        if self._num_failures == 0:
            _log.error("%s: its keys could not be fetched: %s", self._name, str(error) or type(error).__name__)
        self.next_at = now + min(self._pace.cooldown_s, _FIRST_RETRY_S * 2.0 ** min(self._num_failures, 30))
        self._num_failures += 1
        self._told("failed")
