"""Which answers an operator wants to be given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .key import Key, Uri, uri_from

_TAKEN = ("url", "prefix", "tenant", "route", "all")


def meant_by(arguments: Mapping[str, str]) -> Callable[[Key], bool]:
    """Return whether an answer under a key is meant; every argument has to fit. Raises: ValueError.

    `url`: of exactly this URL. `prefix`: of all whose URL begins so; from `/` on, of every origin. `tenant`: of this
    one's. `route`: of this route. `all=true`: of everybody.
    """
    unknown = [name for name in arguments if name not in _TAKEN]
    if unknown or not arguments:
        raise ValueError(f"expected at least one of {', '.join(_TAKEN)}, got {', '.join(unknown) or 'none'}")
    if "all" in arguments and dict(arguments) != {"all": "true"}:
        raise ValueError("expected `all=true` alone: it leaves nothing to choose")
    tests = [_TESTS[name](value) for name, value in arguments.items()]
    return lambda key: all(is_meant(key) for is_meant in tests)


def uri_meant(arguments: Mapping[str, str]) -> Uri | None:
    """Return the one URI that sound arguments are about; None where it may be several."""
    return _absolute("url", arguments["url"]) if "url" in arguments else None


def _of_url(value: str) -> Callable[[Key], bool]:
    uri = _absolute("url", value)
    return lambda key: key.uri == uri


def _of_prefix(value: str) -> Callable[[Key], bool]:
    if value.startswith("/"):
        return lambda key: key.uri.target.startswith(value)
    uri = _absolute("prefix", value)
    return lambda key: key.uri[:2] == uri[:2] and key.uri.target.startswith(uri.target)


def _of_tenant(value: str) -> Callable[[Key], bool]:
    return lambda key: key.tenant == value


def _of_route(value: str) -> Callable[[Key], bool]:
    return lambda key: key.route == value


def _of_all(value: str) -> Callable[[Key], bool]:
    return lambda key: True


_TESTS = {"url": _of_url, "prefix": _of_prefix, "tenant": _of_tenant, "route": _of_route, "all": _of_all}


def _absolute(name: str, value: str) -> Uri:
    uri = uri_from(value)
    if uri is None or uri.scheme not in ("http", "https") or not uri.authority:
        raise ValueError(f"expected `{name}` to be http://… or https://…, got {value!r}")
    return uri
