"""Which answers are worth a price: a refusal saves all that comes after it, and says little of what serving costs."""

from __future__ import annotations

from collections.abc import Mapping

from .measure import Check

_CREDENTIAL = "give a credential that may ask here, --header 'Authorization: Bearer KEY'"
_REMEDIES = {401: _CREDENTIAL, 403: _CREDENTIAL, 429: "give a configuration with higher limits"}
_REMEDY = "give what the route takes by --header and --body"


def check_of(route: str) -> Check:
    """Return what raises a ValueError where exchanges of a route are not all answered by 2xx."""

    def check(statuses: Mapping[int, int], error: str) -> None:
        others = sorted(status for status in statuses if not 200 <= status < 300)
        if not others:
            return
        told = " and ".join(map(str, others))
        why = f" ({error})" if error else " to some of them" if len(statuses) > len(others) else ""
        remedy = _REMEDIES.get(others[0], _REMEDY)
        raise ValueError(f"route `{route}`: expected answers of 2xx, got {told}{why}: {remedy}")

    return check
