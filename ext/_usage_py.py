"""The tokens that an answer tells, in pure Python: the specification of the compiled reader."""

from __future__ import annotations

import orjson


def read_usage(body: bytes) -> tuple[int | None, int | None]:
    """Return the `prompt_tokens` and `completion_tokens` of a JSON answer's `usage`.

    None stands for each that is not told as a whole number from 0 on; of what is told twice the last one counts. Cost:
    one pass over the body.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    usage = value.get("usage") if isinstance(value, dict) else None
    if not isinstance(usage, dict):
        return None, None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
