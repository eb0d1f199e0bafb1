"""The keys in force, by digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ...proxy.verdicts import Identity
from .key_entry import KeyDigest, KeyEntry, check_distinct


@dataclass(slots=True)
class Credential:
    """What one digest stands for.

    `is_settled` is the plugin's note: the key itself has come once, is well-formed, and valid whatever the time is.
    """

    identity: Identity
    max_parallel: int | None
    is_disabled: bool
    not_before: datetime | None
    not_after: datetime | None
    is_settled: bool = False

    @property
    def is_conditional(self) -> bool:
        """Whether it may be invalid now, or some day."""
        return self.is_disabled or self.not_before is not None or self.not_after is not None

    def objection(self, now: datetime) -> str | None:
        """Say, for the log, why it is not valid now; None where it is."""
        key_id = self.identity.key_id
        if self.is_disabled:
            return f"key {key_id} is disabled"
        if self.not_before is not None and now < self.not_before:
            return f"key {key_id}: this credential is not valid before {self.not_before.isoformat()}"
        if self.not_after is not None and now >= self.not_after:
            return f"key {key_id}: this credential expired at {self.not_after.isoformat()}"
        return None


Keyring = Mapping[bytes, Credential]


def build_keyring(entries: Iterable[KeyEntry]) -> Keyring:
    """Return the look-up table of all digests. Raises: ValueError for an id or digest that stands twice."""
    listed = tuple(entries)
    check_distinct(listed, "keys")
    return {bytes.fromhex(part.digest): _credential(entry, part) for entry in listed for part in entry.digests}


def _credential(entry: KeyEntry, part: KeyDigest) -> Credential:
    identity = Identity(
        key_id=entry.id,
        tenant=entry.tenant,
        scopes=frozenset(entry.scopes),
        models=entry.models,
        routes=entry.routes,
        max_priority=entry.max_priority,
    )
    return Credential(identity, entry.max_parallel, entry.disabled, part.not_before, part.not_after)
