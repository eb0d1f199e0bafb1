"""What a browser does with the answers of CORS: the checks of the Fetch standard, as an oracle."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.proxy.exchange.fields import Fields

# Source: Fetch, "CORS-safelisted method" and "CORS-safelisted request-header" (for values that are no matter here).
SAFE_METHODS = frozenset({"GET", "HEAD", "POST"})


@dataclass(frozen=True)
class Wish:
    """What a page wants to send. `has_credentials`: its credentials mode is `include`."""

    origin: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    has_credentials: bool = False


def cors_check(wish: Wish, answer: Fields) -> bool:
    """Source: Fetch, "CORS check", its steps in order."""
    origin = answer.get("access-control-allow-origin")
    if origin is None:
        return False
    if not wish.has_credentials and origin == "*":
        return True
    if origin != wish.origin:
        return False
    return not wish.has_credentials or answer.get("access-control-allow-credentials") == "true"


def preflight_passes(wish: Wish, status: int, answer: Fields) -> bool:
    """Source: Fetch, "CORS-preflight fetch", the steps behind the request."""
    if not cors_check(wish, answer) or not 200 <= status < 300:
        return False
    methods = _listed(answer, "access-control-allow-methods")
    names = {name.lower() for name in _listed(answer, "access-control-allow-headers")}
    is_any_method = "*" in methods and not wish.has_credentials
    if wish.method not in methods and wish.method not in SAFE_METHODS and not is_any_method:
        return False
    for name in wish.headers:
        is_any_name = "*" in names and not wish.has_credentials and name != "authorization"
        if name not in names and not is_any_name:
            return False
    return True


def preflight_fields(wish: Wish) -> list[tuple[str, str]]:
    """Return the fields with which a browser asks. Source: Fetch, "CORS-preflight fetch", steps 2 to 5."""
    asked = [("Origin", wish.origin), ("Access-Control-Request-Method", wish.method)]
    return asked + [("Access-Control-Request-Headers", ",".join(sorted(wish.headers)))] * bool(wish.headers)


def _listed(answer: Fields, name: str) -> list[str]:
    return [part.strip() for part in (answer.get(name) or "").split(",") if part.strip()]
