"""One exchange of the plugin: who is asked, until when, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response
from ...proxy.observe.metrics import Counter
from .branch import Branch, branches_of
from .choosing import as_given, best_of, everything, good, json_response, least_bad, merge_of, with_summary
from .content import value_of
from .gather import Gathering, Taker
from .judging import Judgement, judge
from .options import AggregateOptions
from .parts import Parts
from .racing import Heads, race
from .reading import Allowance, read
from .report import FIELD, field_value, summary
from .rule import Rule, Verdict


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted of all exchanges."""

    branches: Counter
    judgements: Counter


class Asking:
    """Asks the branches of one exchange and answers it."""

    __slots__ = ("_counted", "_counts", "allowance", "branches", "exchange", "judgement", "options")

    def __init__(self, exchange: Exchange, options: AggregateOptions, counts: Counts) -> None:
        self.exchange = exchange
        self.options = options
        self.branches = branches_of(exchange, options)
        self.allowance = Allowance(options)
        self.judgement: Judgement | None = None
        self._counts = counts
        self._counted: set[Branch] = set()

    @property
    def latest(self) -> float:
        """The instant by which everything is to be over."""
        return self.exchange.deadline - self.options.margin_ms / 1000

    @property
    def until(self) -> float:
        """The instant at which gathering ends: a judge has its own time, but no more than half of what there is."""
        now = self.exchange.now()
        kept_s = self.options.judge.timeout if self.options.judge is not None else 0.0
        return max(self.latest - kept_s, now + (self.latest - now) / 2) if kept_s else self.latest

    def gathering(self, taker: Taker) -> Gathering:
        """Return the branches, ready to be asked."""
        return Gathering(self.exchange, self.branches, Rule(self.branches, self.options), self.until, taker)

    async def answer(self, request: bytes) -> Response:
        """Ask and answer. Raises: GatewayError."""
        try:
            if self.options.strategy == "first":
                return await race(self.gathering(Heads()), self.note)
            if self.options.parts == "events" or _asks_for_a_stream(request):
                return await Parts(self).open()
            gathering = self.gathering(self)
            return await self.made_of(gathering, await gathering.run())
        except GatewayError as error:
            raise self.marked(error) from error
        finally:
            self.note()

    async def take(self, branch: Branch, answer: Response) -> None:
        """Read an answer whole."""
        branch.body = await read(answer, self.allowance)

    def ended(self, branch: Branch) -> None:
        """Nothing is to be done: what it gave is kept."""

    async def made_of(self, gathering: Gathering, verdict: Verdict) -> Response:
        """Return one answer of the branches. Raises: GatewayError."""
        branches, options = self.branches, self.options
        if gathering.rule.missing_required() is not None:
            raise gathering.rule.failure()
        if options.strategy == "all" and any(branch.outcome != "skipped" for branch in branches):
            return everything(branches)
        if not good(branches):
            return least_bad(branches)
        if verdict is Verdict.LOST:
            raise gathering.rule.failure()
        if options.strategy == "quorum":
            return everything(branches) if options.agree_on is None else as_given(gathering.rule.agreed(), branches)
        if options.strategy == "merge":
            return merge_of(branches)
        if options.strategy == "judge":
            return await self._judged()
        return as_given(best_of(branches, options.scorer), branches)

    async def _judged(self) -> Response:
        said = await self.ask_judge()
        if said.answer is not None:
            media_type = (said.answer.fields.get("content-type") or "").encode("latin-1")
            response = json_response(said.body, self.branches)
            response.fields.raw[0] = (b"Content-Type", media_type)
        else:
            response = as_given(self.chosen(), self.branches)
        body = response.body
        assert isinstance(body, bytes)
        media_type_of = (response.fields.get("content-type") or "").lower()
        if media_type_of.startswith("application/json") and value_of(body, "application/json") is not None:
            response.body = with_summary(body, self.told())
            response.length = len(response.body)
        return response

    async def ask_judge(self) -> Judgement:
        """Ask the judge, where there is anything to choose from. Raises: GatewayError for what the client did."""
        options, candidates = self.options.judge, good(self.branches)
        if options is None or len(candidates) == 1:
            self.judgement = Judgement(chosen=0)
            return self.judgement
        self.judgement = await judge(self.exchange, options, candidates, self.latest, self.allowance)
        self._counts.judgements.add(self.exchange.route.name, self.judgement.result)
        return self.judgement

    def chosen(self) -> Branch:
        """Return the branch that a judge has picked, or that its fallback would."""
        said, candidates, options = self.judgement, good(self.branches), self.options.judge
        if said is not None and said.chosen is not None:
            return candidates[said.chosen]
        is_first = options is not None and options.fallback == "first"
        return candidates[0] if is_first else best_of(self.branches, self.options.scorer)

    def told(self) -> dict[str, object]:
        """Return what is told of the branches and the judge, as JSON data."""
        said = self.judgement
        if said is None:
            return summary(self.branches)
        chosen = self.chosen().name if said.answer is None else None
        return summary(self.branches, chosen=chosen, judge={"failure": said.failure})

    def note(self) -> None:
        """Tell the log and the metrics, as far as it is known; each branch is counted once."""
        told = field_value(self.branches, has_tokens=True)
        if self.judgement is not None and self.judgement.usage is not None:
            usage = self.judgement.usage
            told += f", judge;prompt={usage.prompt_tokens or 0};completion={usage.completion_tokens or 0}"
        self.exchange.extra["branches"] = told
        for branch in self.branches:
            if branch.outcome is not None and branch not in self._counted:
                self._counted.add(branch)
                self._counts.branches.add(self.exchange.route.name, branch.name, branch.outcome)

    def marked(self, error: GatewayError) -> GatewayError:
        """Return an error that tells of the branches, too."""
        field = (FIELD.encode(), field_value(self.branches).encode("latin-1", "replace"))
        return GatewayError(error.kind.name, error.detail, public=error.public, fields=(*error.fields, field))


def _asks_for_a_stream(request: bytes) -> bool:
    value = value_of(request, "application/json")
    return value is not None and value.get("stream") is True
