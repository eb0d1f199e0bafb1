"""What `headgate plugins new` writes, one module for each kind of plugin."""

from __future__ import annotations

from . import aggregate, auth, cache, log, ratelimit, request, response

KINDS = {
    "auth": auth.KIND,
    "ratelimit": ratelimit.KIND,
    "request": request.KIND,
    "cache": cache.KIND,
    "aggregate": aggregate.KIND,
    "response": response.KIND,
    "log": log.KIND,
}
