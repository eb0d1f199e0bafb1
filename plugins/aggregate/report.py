"""What is told of the branches: to the client, and to the log."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

import orjson

from ...proxy.exchange.message import Response
from .branch import Branch

FIELD = "x-headgate-branches"
_SPECIAL = re.compile(r'["\\]')
_UNSAYABLE = re.compile(r"[^ -~]")


def field_value(branches: Sequence[Branch], *, has_tokens: bool = False) -> str:
    """Return the branches as a list of a structured field: each by its name, with what became of it.

    `has_tokens`: with what each has cost, where that is known. Source: RFC 9651 §3.1.
    """
    return ", ".join(_item(branch, has_tokens) for branch in branches)


def _item(branch: Branch, has_tokens: bool) -> str:
    name = _SPECIAL.sub(r"\\\g<0>", _UNSAYABLE.sub("?", branch.name))
    told: dict[str, object] = {"outcome": branch.outcome, "status": branch.status, "error": _error(branch)}
    told |= {"reason": branch.reason, "ms": _ms(branch)}
    if has_tokens and branch.usage is not None:
        told |= {"prompt": branch.usage.prompt_tokens, "completion": branch.usage.completion_tokens}
    return f'"{name}"' + "".join(f";{key}={value}" for key, value in told.items() if value is not None)


def told(branch: Branch) -> dict[str, Any]:
    """Return what became of a branch as JSON data, without its answer."""
    usage = branch.usage
    is_known = usage is not None and (usage.prompt_tokens is not None or usage.completion_tokens is not None)
    return {
        "branch": branch.name,
        "target": branch.target.name,
        "outcome": branch.outcome,
        "status": branch.status,
        "error": _error(branch),
        "reason": branch.reason,
        "ms": _ms(branch),
        "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        if usage is not None and is_known
        else None,
    }


def told_whole(branch: Branch) -> dict[str, Any]:
    """Return the same with its answer."""
    body = shown(branch.body, branch.media_type) if branch.status is not None else None
    return {**told(branch), "body": body}


def summary(branches: Sequence[Branch], **more: Any) -> dict[str, Any]:
    """Return what became of all of them as JSON data."""
    return {"is_partial": is_partial(branches), **more, "branches": [told(branch) for branch in branches]}


def is_partial(branches: Sequence[Branch]) -> bool:
    """Whether a branch that was to be asked gave no good answer."""
    return any(not branch.is_ok and branch.reason != "condition" for branch in branches)


def shown(body: bytes, media_type: str) -> Any:
    """Return JSON as it came, text as text, anything else in base 64."""
    if media_type == "application/json":
        try:
            orjson.loads(body)
            return orjson.Fragment(body)  # parsed and written again, large numbers and equal names would be lost
        except orjson.JSONDecodeError:
            pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def mark(response: Response, branches: Sequence[Branch]) -> Response:
    """Tell of the branches in a field of the answer."""
    response.fields.set(FIELD, field_value(branches))
    return response


def _error(branch: Branch) -> str | None:
    return branch.error.kind.name if branch.error is not None else None


def _ms(branch: Branch) -> int | None:
    return round(branch.took_s * 1000) if branch.took_s is not None else None
