"""What each account has taken in its period, in memory or a file that processes share."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Sequence
from hashlib import blake2b
from operator import add
from typing import NamedTuple, cast

from .amounts import Amounts
from .cells import HEADER_WORDS, WORD_BYTES, Cells, Words, num_bytes, number_of, present
from .lock import FileLock
from .periods import Per

Limits = tuple[int | None, int | None, int | None]  # of requests, tokens and cost
Over = tuple[tuple[int, int], ...]  # limits in the way: place of the ask, place of the unit

NOTHING = Amounts(0, 0, 0)
NO_LIMITS: Limits = (None, None, None)


class LedgerFullError(RuntimeError):
    """Every account that a newcomer could have is in use in its period."""


class Ask(NamedTuple):
    """One account that a request is to be charged to, and what may be charged to it in a period in all."""

    name: bytes
    per: Per
    limits: Limits


class Standing(NamedTuple):
    """An account: its place, its id, the word of its period, and what is charged to it there."""

    place: int
    account: int
    period: int
    charged: Amounts

    @property
    def number(self) -> int:
        """The number of its period."""
        return number_of(self.period)


class Decision(NamedTuple):
    """What became of a request. `over` names the limits in its way.

    `standings` are the accounts asked for: charged, unless something is in the way.
    """

    standings: tuple[Standing, ...]
    over: Over


class Ledger:
    """A bounded table of accounts, each with what was charged to it in its period. One process at a time changes it.

    A reservation is a charge, which its settlement corrects: what is reserved and what is settled are one number, and
    that stays at most its limit. What a process has reserved that dies stays charged. A period only ever follows an
    earlier one: where the clock goes back the later one goes on.
    """

    def __init__(self, descriptor: int, max_accounts: int) -> None:
        """Take part in the ledger behind `descriptor`, which stays the caller's; empty memory becomes a ledger.

        Raises: ValueError where something else is there, OSError where it cannot be mapped, BusyError.
        """
        # Opened anew, since a lock is that of one opening.
        self._descriptor = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        # Also of one that nobody closes, since what it was made for was refused.
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._lock = FileLock(self._descriptor)
        self._map: mmap.mmap | None = None
        self._words: memoryview[int] | None = None
        try:
            with self._lock:
                self._cells = self._begin(max_accounts)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: str, max_accounts: int) -> Ledger:
        """Take part in the ledger of a file, which is made where there is none. Raises: as the constructor."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return cls(descriptor, max_accounts)
        finally:
            os.close(descriptor)

    def _begin(self, max_accounts: int) -> Cells:
        size, wanted = os.fstat(self._descriptor).st_size, num_bytes(max_accounts)
        header = os.pread(self._descriptor, HEADER_WORDS * WORD_BYTES, 0)
        is_new = not any(header)
        if is_new and size < wanted:
            os.posix_fallocate(self._descriptor, 0, wanted)  # to write where no room is left would end the process
            size = wanted
        if size < HEADER_WORDS * WORD_BYTES or (is_new and size != wanted):
            raise ValueError(f"expected accounts, got {size} bytes that hold none: name another file")
        self._map = mmap.mmap(self._descriptor, size)
        self._words = memoryview(self._map).cast("q")
        cells = Cells(cast(Words, self._words), max_accounts, [_drawn(), _drawn()])
        if size != wanted:
            raise ValueError(f"expected accounts in {wanted} bytes, got {size}: name another file")
        return cells

    def close(self) -> None:
        """Take part no more. A second time does nothing."""
        words, self._words = self._words, None
        mapped, self._map = self._map, None
        if words is not None:
            words.release()
        if mapped is not None:
            mapped.close()
        self._close()

    def fileno(self) -> int:
        """Return the descriptor of what it lies in; open as long as the ledger is."""
        return self._descriptor

    def __len__(self) -> int:
        """Count the accounts, those included whose period is over. Cost: linear in the size of the table."""
        return len(self._cells)

    def reserve(self, asks: Sequence[Ask], amounts: Amounts, now_s: float) -> Decision:
        """Charge a request to all its accounts, or to none. Cost: linear in the asks.

        Raises: LedgerFullError and BusyError; then nothing is charged.
        """
        with self._lock:
            standings = self._standings(asks, now_s)
            over = tuple(_over(asks, standings, amounts))
            if not over:
                standings = [self._charge(standing, amounts) for standing in standings]
        return Decision(tuple(standings), over)

    def settle(self, standings: Sequence[Standing], reserved: Amounts, used: Amounts) -> None:
        """Charge what was used in place of what was reserved, to the accounts that are in the same period still.

        Cost: linear in the standings. Raises: BusyError; then what was reserved stays charged.
        """
        by = tuple(new - old for new, old in zip(used, reserved, strict=True))
        with self._lock:
            for place, account, period, _ in standings:
                if self._cells.is_of(place, account) and self._cells.period(place) == period:
                    self._cells.charge(place, by)

    def grow(self, asks: Sequence[Ask], standings: Sequence[Standing], more: Amounts, now_s: float) -> Over:
        """Charge more to what a reservation stands at, to all of its accounts or, where limits are in the way, to none.

        An account whose period is over is not charged, nor is its limit in the way. Cost: linear in the asks.
        Raises: BusyError; then nothing is charged.
        """
        cells = self._cells
        with self._lock:
            live = []
            for number, (ask, (place, account, period, _)) in enumerate(zip(asks, standings, strict=True)):
                if cells.is_of(place, account) and cells.period(place) == period:
                    now = present(ask.per, now_s)
                    if now > period:
                        cells.turn(place, now)  # or it would be charged at the settlement with what it was not here
                    else:
                        live.append((number, ask.limits, place))
            over = tuple(
                (number, unit)
                for number, limits, place in live
                for unit, (limit, charged) in enumerate(zip(limits, cells.charged(place), strict=True))
                if limit is not None and more[unit] and charged + more[unit] > limit
            )
            if not over:
                for _, _, place in live:
                    cells.charge(place, more)
        return over

    def charged(self, name: bytes, per: Per, now_s: float) -> Amounts:
        """Return what is charged to an account in its present period. Cost: O(1). Raises: BusyError."""
        with self._lock:
            account, now = self._account(Ask(name, per, NO_LIMITS)), present(per, now_s)
            standing = self._known(account, now)
        return standing.charged if standing is not None else NOTHING

    def _standings(self, asks: Sequence[Ask], now_s: float) -> list[Standing]:
        """Return the accounts as they stand, or would stand if they were charged: newcomers at places of their own."""
        asked = [(self._account(ask), present(ask.per, now_s)) for ask in asks]
        known = [self._known(account, now) for account, now in asked]
        taken = {each.place for each in known if each is not None}
        standings = []
        for (account, now), standing in zip(asked, known, strict=True):
            if standing is None:
                place = self._cells.room(account, now_s, taken)
                if place is None:
                    raise LedgerFullError("expected room for one more account, all that it could have are in use")
                standing = Standing(place, account, self._cells.first_period(now), NOTHING)
                taken.add(place)
            standings.append(standing)
        return standings

    def _known(self, account: int, now: int) -> Standing | None:
        cells = self._cells
        place = cells.find(account)
        if place is None:
            return None
        period = cells.period(place)
        if period < now:
            return Standing(place, account, now, NOTHING)
        return Standing(place, account, period, cells.charged(place))

    def _charge(self, standing: Standing, amounts: Amounts) -> Standing:
        cells, place = self._cells, standing.place
        if not cells.is_of(place, standing.account):
            cells.give(place, standing.account, standing.period)
        elif cells.period(place) != standing.period:
            cells.turn(place, standing.period)
        cells.charge(place, amounts)
        charged = Amounts._make(map(add, standing.charged, amounts))
        return Standing(place, standing.account, standing.period, charged)

    def _account(self, ask: Ask) -> int:
        """Return the id of an account: a keyed hash, so that nobody can make up names that meet."""
        digest = blake2b(ask.name, digest_size=WORD_BYTES, key=self._cells.secret, person=ask.per.encode()).digest()
        return int.from_bytes(digest, "little", signed=True) or 1  # 0 marks a place that nobody has


def _over(asks: Sequence[Ask], standings: Sequence[Standing], amounts: Amounts) -> list[tuple[int, int]]:
    """Return the limits that a request would exceed."""
    return [
        (number, unit)
        for number, (ask, standing) in enumerate(zip(asks, standings, strict=True))
        for unit, limit in enumerate(ask.limits)
        if limit is not None and standing.charged[unit] + amounts[unit] > limit
    ]


def _drawn() -> int:
    return int.from_bytes(os.urandom(WORD_BYTES), "little", signed=True)
