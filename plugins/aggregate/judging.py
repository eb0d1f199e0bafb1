"""Lets a model choose between answers, or write one of them all."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...proxy.errors import GatewayError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.message import Response, Usage
from ...proxy.verdicts import Target
from .branch import Branch
from .content import text_of, value_of
from .options import JudgeOptions, target_named
from .reading import Allowance, read

_PICK = " Answer with the index of the best candidate and nothing else. The first one has index 0."
_FUSE = " Answer with the best answer to the request that can be made of them, and nothing else."
_INDEX = re.compile(r"\s*(?:\{\s*\"index\"\s*:\s*)?([0-9]{1,4})\s*\}?\s*")


@dataclass(slots=True)
class Judgement:
    """What the judge said: which candidate (`chosen`), or an answer of its own (`answer` with its `body`).

    `failure` says why it said neither.
    """

    chosen: int | None = None
    answer: Response | None = None
    body: bytes = b""
    failure: str | None = None
    usage: Usage | None = None

    @property
    def result(self) -> str:
        """The word for metrics: `picked`, `fused` or `failed`."""
        return "failed" if self.failure is not None else "picked" if self.answer is None else "fused"


async def judge(
    exchange: Exchange, options: JudgeOptions, candidates: Sequence[Branch], until: float, allowance: Allowance
) -> Judgement:
    """Ask the judge, until `until` at the latest; where it fails it says so. Raises: GatewayError for the client's."""
    said = Judgement()
    until = min(until, exchange.now() + options.timeout)
    try:
        request = _request(options, await exchange.request.body.read(1 << 26), candidates, exchange.model)
        async with asyncio.timeout(max(0.0, until - exchange.now())) as bound:
            answer = await exchange.call(_target(options, exchange), request)
            said.usage = answer.usage
            body = await read(answer, allowance)
    except TimeoutError:
        if not bound.expired():
            raise
        said.failure = "timeout"
    except GatewayError as error:
        if error.kind.source == "downstream":
            raise
        said.failure = error.kind.name
    else:
        _listen(said, options, answer, body, len(candidates))
    return said


def _listen(said: Judgement, options: JudgeOptions, answer: Response, body: bytes, num_candidates: int) -> None:
    media_type = (answer.fields.get("content-type") or "").partition(";")[0].strip().lower()
    text = text_of(value_of(body, media_type)) if answer.status < 400 else None
    if answer.status >= 400:
        said.failure = f"status {answer.status}"
    elif not text:
        said.failure = "no completion"
    elif options.answers == "fuse":
        said.answer, said.body = answer, body
    else:
        index = _INDEX.fullmatch(text)
        said.chosen = int(index[1]) if index is not None and int(index[1]) < num_candidates else None
        said.failure = "no index" if said.chosen is None else None


def _request(options: JudgeOptions, asked: bytes, candidates: Sequence[Branch], model: str | None) -> bytes:
    """Return the request to the judge. Candidates stand in JSON, so that none can end its own place."""
    material = {
        "request": _asked(asked),
        "candidates": [{"index": at, "text": branch.content} for at, branch in enumerate(candidates)],
    }
    messages = [
        {"role": "system", "content": options.prompt + (_PICK if options.answers == "pick" else _FUSE)},
        {"role": "user", "content": _text(material)},
    ]
    value: dict[str, Any] = {"model": target_named(options.target).model or model, "messages": messages}
    if options.max_tokens is not None:
        value["max_tokens"] = options.max_tokens
    return json.dumps(value).encode()


def _text(material: dict[str, Any]) -> str:
    try:
        text = json.dumps(material, ensure_ascii=False)
    except RecursionError as error:
        raise GatewayError("malformed_answer", "expected a request that is not so deep") from error
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def _asked(body: bytes) -> Any:
    """Return what the client asked: the messages or the prompt of a completion, else the body as text."""
    value = value_of(body, "application/json")
    for name in ("messages", "prompt", "input"):
        if value is not None and name in value:
            return value[name]
    return body.decode("utf-8", "replace")


def _target(options: JudgeOptions, exchange: Exchange) -> Target:
    """Return the judge's target: the route's own of this name, if it has one."""
    own = (target for group in exchange.groups for target in group if target.name == options.target)
    return next(own, target_named(options.target))
