"""What the client gets of the branches that were gathered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from ...proxy.errors import GatewayError
from ...proxy.exchange.fields import Fields
from ...proxy.exchange.message import Response
from .branch import Branch
from .content import value_of
from .merging import merged
from .report import is_partial, mark, summary, told_whole
from .scorers import best

JSON = b"application/json"


def good(branches: Sequence[Branch]) -> list[Branch]:
    """Return the branches with a good answer, in order."""
    return [branch for branch in branches if branch.is_ok]


def best_of(branches: Sequence[Branch], scorer: str) -> Branch:
    """Return the good branch that the scorer likes best. Raises: ValueError where none is good."""
    candidates = good(branches)
    return candidates[best([branch.candidate for branch in candidates], scorer)]


def everything(branches: Sequence[Branch]) -> Response:
    """Return all answers in one: 200 where any is good, else 502."""
    value = {"object": "aggregate", **summary(branches), "branches": [told_whole(branch) for branch in branches]}
    return json_response(orjson.dumps(value), branches, 200 if good(branches) else 502)


def as_given(branch: Branch, branches: Sequence[Branch]) -> Response:
    """Return a branch's answer as it gave it."""
    assert branch.answer is not None
    answer = branch.answer
    response = Response(answer.status, answer.fields, branch.body, len(branch.body), answer.reason)
    response.fields.set("x-headgate-target", branch.target.name)
    return mark(response, branches)


def merge_of(branches: Sequence[Branch]) -> Response:
    """Return the good answers as one. Raises: GatewayError where they cannot be."""
    return json_response(with_summary(dumped(merged_value(branches)), summary(branches)), branches)


def merged_value(branches: Sequence[Branch]) -> dict[str, Any]:
    """Return the good answers as one value. Raises: GatewayError where one of them is no JSON object."""
    values = []
    for branch in good(branches):
        value = value_of(branch.body, branch.media_type)
        if value is None:
            raise GatewayError("malformed_answer", f"branch {branch.name}: expected a JSON object to merge")
        values.append(value)
    return merged(values)


def least_bad(branches: Sequence[Branch]) -> Response:
    """Return the answer with the lowest status, where none is good. Raises: GatewayError where there is none at all."""
    answered = [branch for branch in branches if branch.status is not None]
    if not answered:
        raise nobody(branches)
    return as_given(min(answered, key=lambda branch: branch.status or 0), branches)


def nobody(branches: Sequence[Branch]) -> GatewayError:
    """Return the error where no branch has answered: that of the last one that had any."""
    errors = [branch.error for branch in branches if branch.error is not None]
    if errors:
        return GatewayError(errors[-1].kind.name, errors[-1].detail, fields=errors[-1].fields)
    if any(branch.outcome == "timeout" for branch in branches):
        return GatewayError("silent", "no branch answered in time")
    return GatewayError("route_not_found", "every branch was skipped")


def json_response(body: bytes, branches: Sequence[Branch], status: int = 200) -> Response:
    """Return an answer of our own. One that is partial is stored by nobody."""
    fields = Fields([(b"Content-Type", JSON)])
    if is_partial(branches):
        fields.set("cache-control", "no-store")
    return mark(Response(status, fields, body, len(body)), branches)


def dumped(value: dict[str, Any]) -> bytes:
    """Write JSON, numbers as large as they came. Raises: GatewayError for what is too deep to be written."""
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError as error:
        raise GatewayError("malformed_answer", "expected JSON that is not so deep") from error


def with_summary(body: bytes, told: dict[str, Any]) -> bytes:
    """Return a JSON object with one more member at its end that tells of the branches; the rest as it came."""
    start = body.rstrip()[:-1]
    comma = b"" if start.rstrip().endswith(b"{") else b","
    return start + comma + b'"headgate":' + orjson.dumps(told) + b"}"
