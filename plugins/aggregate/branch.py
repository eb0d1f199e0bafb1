"""One target that is asked, and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response, Usage
from ...proxy.verdicts import Target
from .candidate import Candidate
from .content import content_of
from .options import MAX_BRANCHES, AggregateOptions, BranchOptions, When

Outcome = Literal["ok", "error", "timeout", "skipped"]
_UNTOLD = BranchOptions()


@dataclass(slots=True, eq=False)
class Branch:
    """One branch of an exchange. `outcome` is None until it has ended, and then what it is for good.

    `reason` says why it was skipped: `condition`, `too_many`, `not_needed` where it was clear without it what the
    answer is, `abandoned` where nobody waits for one any more.
    `took_s` is how long it ran. `usage` grows while its answer is read.
    """

    name: str
    target: Target
    options: BranchOptions = _UNTOLD
    outcome: Outcome | None = None
    reason: str | None = None
    error: GatewayError | None = None
    answer: Response | None = None  # its head
    body: bytes = b""
    usage: Usage | None = None
    took_s: float | None = None
    _content: str | None = field(default=None, repr=False)

    def end(self, outcome: Outcome, *, reason: str | None = None, error: GatewayError | None = None) -> None:
        """Say what became of it; only the first word counts."""
        if self.outcome is None:
            self.outcome, self.reason, self.error = outcome, reason, error

    @property
    def is_ok(self) -> bool:
        """Whether it gave a good answer."""
        return self.outcome == "ok"

    @property
    def status(self) -> int | None:
        """The status of its answer, where it has a whole one."""
        is_whole = self.outcome in ("ok", "error") and self.error is None
        return self.answer.status if self.answer is not None and is_whole else None

    @property
    def fields(self) -> Fields:
        """The fields of its answer."""
        return self.answer.fields if self.answer is not None else Fields()

    @property
    def media_type(self) -> str:
        """What kind of answer it gave, without parameters."""
        return (self.fields.get("content-type") or "").partition(";")[0].strip().lower()

    @property
    def content(self) -> str:
        """What its answer says. Cost: the first time linear in the answer."""
        if self._content is None:
            self._content = content_of(self.body, self.media_type)
        return self._content

    @property
    def candidate(self) -> Candidate:
        """Its answer, as scorers see it."""
        return Candidate(self.name, self.content, self.body, self.media_type, self.options.weight)


def branches_of(exchange: Exchange, options: AggregateOptions) -> list[Branch]:
    """Return a branch for each target of the exchange but the judge, those ended that are not to be asked."""
    judge = options.judge.target if options.judge is not None else None
    branches: list[Branch] = []
    seen = Counter[str]()
    for target in (target for group in exchange.groups for target in group if target.name != judge):
        told = options.branches.get(target.name, _UNTOLD)
        name = told.name or target.name
        seen[name] += 1
        branch = Branch(name if seen[name] == 1 else f"{name}#{seen[name]}", target, told)
        if len(branches) >= MAX_BRANCHES:
            branch.end("skipped", reason="too_many")
        elif _is_skipped(told, exchange):
            branch.end("skipped", reason="condition")
        branches.append(branch)
    return branches


def _is_skipped(told: BranchOptions, exchange: Exchange) -> bool:
    if told.skip_when is not None and _holds(told.skip_when, exchange):
        return True
    return told.only_when is not None and not _holds(told.only_when, exchange)


def _holds(when: When, exchange: Exchange) -> bool:
    fields, model = exchange.request.fields, exchange.model
    for name, wanted in when.fields.items():
        value = fields.get(name)
        if value is None or wanted not in ("*", value):
            return False
    return not when.models or (model is not None and any(_is_named(model, pattern) for pattern in when.models))


def _is_named(model: str, pattern: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
