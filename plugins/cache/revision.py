"""What becomes of the answer to a request for which there is a stored one: confirmed, replaced, or not to be had."""

from __future__ import annotations

from ...proxy.errors import GatewayError, Source
from ...proxy.exchange.message import Response
from ...proxy.verdicts import Hit, Miss
from . import answers, rules
from .entry import Entry, Pair
from .filling import Filling, stored_fields
from .lookup import Lookup
from .renewal import is_about, is_of_other_length, is_shown_whole, renewed, set_condition
from .shelf import Shelf

# RFC 5861 §4: what counts as an error.
_FAILURES = frozenset((500, 502, 503, 504))


class Revision:
    """Asks for a stored answer again on a condition, and has the last word on what comes of it.

    Made before the request goes on; called once, or twice where the first answer was of no use.
    """

    __slots__ = ("_asked_at", "_client_fields", "_entry", "_filling", "_is_validating", "_lookup", "_shelf")

    def __init__(self, shelf: Shelf, lookup: Lookup, entry: Entry, filling: Filling) -> None:
        request = lookup.exchange.request
        self._shelf = shelf
        self._lookup = lookup
        self._entry = entry
        self._filling = filling
        self._asked_at = lookup.exchange.now()
        self._client_fields = request.fields.copy()
        self._is_validating = set_condition(request.fields, entry)

    def __call__(self, found: Response | GatewayError) -> Hit | Miss | None:
        """Return a stored answer in place of its confirmation, or of a failure; a Miss where it is to be asked again.

        Source: RFC 9111 §4.3.3, RFC 5861 §4.
        """
        if isinstance(found, Response) and found.status == 304 and self._is_validating:
            return self._confirmed(found) if is_about(self._entry, found.fields) else self._again()
        return self._instead(found) if _is_failure(found) else None

    def _confirmed(self, found: Response) -> Hit:
        """Give the stored answer with its new fields, and have it stored so."""
        entry = self._entry
        response = renewed(entry, found.fields)
        if not self._shelf.memory.holds(entry):
            self._filling.spoil()  # another request has brought a newer one meanwhile, or it was given up
        elif not self._filling.renew(response):
            self._shelf.give_up(entry)  # its new fields forbid to keep it
        now, wall_s = self._lookup.exchange.now(), self._shelf.wall()
        answer = rules.Answer(response.status, response.fields)
        age_s = rules.initial_age_s(answer, wall_s, now - self._asked_at)
        fields = stored_fields(response.fields.raw, rules.date_s(answer, wall_s))
        stored = "; stored" if self._filling.is_taking else ""
        shown = Entry(entry.key, entry.vary, entry.status, fields, entry.body, now, age_s, 0.0)
        return self._hit(shown, age_s, answers.forwarded(self._lookup.why, f"; fwd-status=304{stored}"), "revalidated")

    def _again(self) -> Miss:
        """What is confirmed is not what is stored: ask as the client did."""
        self._shelf.give_up(self._entry)
        self._is_validating = False
        self._lookup.exchange.request.fields.raw = self._client_fields.raw
        return Miss(self._filling)

    def _instead(self, found: Response | GatewayError) -> Hit | None:
        entry, lookup = self._entry, self._lookup
        if not lookup.may_have_instead(entry):
            return None
        self._filling.discard()
        status = f"; fwd-status={found.status}" if isinstance(found, Response) else ""
        field = answers.forwarded(lookup.why, f"{status}; detail=stale-if-error")
        return self._hit(entry, entry.age_s(lookup.exchange.now()), field, "stale")

    def _hit(self, entry: Entry, age_s: float, field: Pair, status: str) -> Hit:
        lookup = self._lookup
        lookup.is_answered = True
        method = lookup.exchange.request.method
        return Hit(answers.from_entry(entry, lookup.asked, method, age_s, field), status)


class HeadStore:
    """Sees the answer to a HEAD: what it shows renews the stored answer, or gives it up. Source: RFC 9111 §4.3.5."""

    __slots__ = ("_entry", "_filling", "_shelf")

    def __init__(self, shelf: Shelf, entry: Entry, filling: Filling) -> None:
        self._shelf = shelf
        self._entry = entry
        self._filling = filling

    def begin(self, response: Response) -> bool:
        """Compare; return whether the stored answer is renewed."""
        entry = self._entry
        if response.status != 200 or entry.status != 200 or not self._shelf.memory.holds(entry):
            return False
        if is_shown_whole(entry, response) and self._filling.renew(renewed(entry, response.fields)):
            return True
        if (
            self._filling.reason is not None
            or is_of_other_length(entry, response)
            or not is_about(entry, response.fields)
        ):
            self._shelf.give_up(entry)
        return False

    def write(self, piece: bytes) -> bool:
        """There is no body."""
        return True

    def commit(self) -> None:
        """The answer was whole, and the first choice gave it."""
        self._filling.commit()

    def discard(self) -> None:
        """It was not."""
        self._filling.discard()


def _is_failure(found: Response | GatewayError) -> bool:
    if isinstance(found, Response):
        return found.status in _FAILURES
    kind = found.kind
    return kind.status in _FAILURES and kind.source is not Source.DOWNSTREAM and not kind.is_closing
