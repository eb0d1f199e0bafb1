"""The new target of a request: path and query."""

from __future__ import annotations

from urllib.parse import unquote_plus

from ...ext.route_table import normalize_path
from ...proxy.exchange.exchange import Exchange
from ...proxy.verdicts import Reject
from .config import PathEdits, QueryEdits
from .template import in_target

MAX_CHARACTERS = 8192


def rewrite(exchange: Exchange, path: PathEdits | None, query: QueryEdits | None) -> Reject | None:
    """Change path and query. A path that could be read in two ways, before or after, is refused.

    Cost: linear in the target, which is bounded.
    """
    request = exchange.request
    if not request.target.startswith("/"):  # `OPTIONS *` has none
        return None
    new_path, new_query = request.path, request.query
    if path is not None:
        normal = normalize_path(request.path)
        changed = _path(exchange, path, normal) if normal is not None and len(normal) <= MAX_CHARACTERS else None
        if changed is None or normalize_path(changed) is None:
            return Reject("bad_request", detail=f"no path that could be rewritten: {request.path[:200]!r}")
        new_path = changed
    if query is not None:
        new_query = _query(exchange, query)
    if len(new_path) + len(new_query) > 2 * MAX_CHARACTERS:
        return Reject("target_too_long", detail="the target is too long once it is rewritten")
    request.path, request.query = new_path, new_query
    request.target = f"{new_path}?{new_query}" if new_query or request.target.endswith("?") else new_path
    return None


def _path(exchange: Exchange, edits: PathEdits, path: str) -> str:
    prefix = edits.strip_prefix
    if prefix is not None and (path == prefix or path.startswith(f"{prefix}/")):
        path = path[len(prefix) :] or "/"
    if edits.regex is not None and (found := edits.regex.compiled.fullmatch(path)) is not None:
        path = edits.regex.template.fill(exchange, in_target, [group or "" for group in found.groups()])
    if edits.prefix is not None:
        path = edits.prefix + path
    return path


def _query(exchange: Exchange, edits: QueryEdits) -> str:
    dropped = {*edits.remove, *edits.set}
    kept = [pair for pair in exchange.request.query.split("&") if pair and _name_of(pair) not in dropped]
    kept += [f"{in_target(name)}={in_target(text.fill(exchange, str))}" for name, text in edits.set.items()]
    return "&".join(kept)


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
