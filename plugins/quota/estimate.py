"""What a request may take at most, as far as it can be told before, and what it took."""

from __future__ import annotations

from typing import NamedTuple

from ...ext.head_scan import BodyScan
from ...proxy.verdicts import Settlement
from .amounts import MOST, Amounts, Price, amounts_of

_BUSY = 429
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
# Ends that no service brought about: nobody knows how much of an answer had been made by then.
_CUT = frozenset({"client_gone", "deadline", "draining", "internal"})


class Estimate(NamedTuple):
    """Tokens of the prompt, and the most that the answer may have. `is_stream`: it comes event by event.

    `event_tokens`: as how many tokens an event counts where nobody tells.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    price: Price | None = None
    is_stream: bool = False
    event_tokens: int = 1

    @property
    def amounts(self) -> Amounts:
        """What is to be reserved."""
        return amounts_of(1, self.input_tokens, self.output_tokens, self.price)

    def taken(self, prompt: int | None, completion: int | None, num_events: int, ahead: int = 0) -> Amounts:
        """Return what an answer has taken of which so much is told, and `ahead` tokens more."""
        tokens = num_events * self.event_tokens if completion is None else completion
        return amounts_of(1, self.input_tokens if prompt is None else prompt, tokens + ahead, self.price)


def estimate(
    scan: BodyScan | None, input_tokens: int, default_tokens: int, most_tokens: int | None, price: Price | None
) -> Estimate:
    """Return what a request may take: of tokens for its answer what it asks for or the default, and `most_tokens`."""
    asked = max(scan.max_tokens or 0, scan.max_completion_tokens or 0) if scan is not None else 0
    num_choices = scan.num_choices if scan is not None else 1
    output_tokens = min((asked if asked > 0 else default_tokens) * num_choices, MOST)
    if most_tokens is not None:
        output_tokens = min(output_tokens, most_tokens)
    return Estimate(input_tokens, output_tokens, price, scan is not None and scan.is_stream)


def used(told: Estimate, settlement: Settlement) -> Amounts:
    """Return what an exchange took, by what is known at its end.

    Where no service was asked, or it failed, nothing was used, and what was not answered does not count as a request.
    What the service told stands. A stream without usage took its prompt, and so many tokens for each event. Of anything
    else nobody knows: what was reserved stands.
    """
    status, error = settlement.status, settlement.error
    is_answered = error is None and status < _SERVER_ERROR and status != _BUSY
    if settlement.is_hit or not settlement.is_sent:
        return Amounts(int(is_answered and status < _CLIENT_ERROR), 0, 0)
    is_cut = error in _CUT
    if status >= _CLIENT_ERROR and not is_cut:
        return Amounts(int(is_answered), 0, 0)
    prompt, completion = settlement.prompt_tokens, settlement.completion_tokens
    num_events = settlement.num_events
    if num_events is None and is_cut and told.is_stream:
        num_events = 0
    if prompt is None and completion is None and num_events is None:
        return told.amounts
    return told.taken(prompt, completion, num_events or 0)
