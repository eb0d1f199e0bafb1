"""The faults, and what a client has to see of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

HEAVY_TEXT = "Der große Käse kostet 3 € und die 猫 schläft heute lange"
LITE_TEXT = "A lite answer says it in other words"
NUM_TOKENS = len(HEAVY_TEXT.split())
BUDGET = "30s"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault at the first target of two, and one request.

    `end` is what the client must see: `heavy` or `lite`, the whole answer of that target; `error`, a typed error in the
    answer's place or as the last event; `400`, the upstream's own refusal. `within_s` bounds the time, `attempts` those
    at the first target. `then` are faults that come after the first, should the target be asked again.
    """

    title: str
    fault: str
    end: str
    within_s: float = 3.0
    attempts: int = 2
    is_stream: bool = True
    route: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[Any, ...] = ("heavy/heavy", "lite/lite")
    warm: int = 0  # requests before, that go well
    then: tuple[str, ...] = ()


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario, in the order of the page."""
    yield from _refusals()
    yield from _silence()
    yield from _breaks()
    yield from _prefilled()
    yield from _held_back()
    yield from _formal()


def _refusals() -> Iterator[Scenario]:
    yield Scenario("429 without Retry-After, for ever", "429", "lite", attempts=1)
    yield Scenario("429, Retry-After of 1 s, once", "429,retry_after=1,once", "heavy", attempts=2)
    yield Scenario("429, Retry-After of 60 s", "429,retry_after=60", "lite", attempts=1)
    yield Scenario("500, once", "500,once", "lite", attempts=1)
    yield Scenario("502, once", "status:502,once", "heavy")
    yield Scenario("503, for long", "503", "lite", attempts=1)
    yield Scenario("503, Retry-After of 1 s, once", "503,retry_after=1,once", "heavy")
    yield Scenario("context too long, no larger target declared", "context_length", "400", attempts=1)
    larger = (
        {"cluster": "heavy", "model": "heavy", "context": 1000},
        {"cluster": "lite", "model": "lite", "context": 9000},
    )
    yield Scenario("context too long, a larger target declared", "context_length", "lite", attempts=1, targets=larger)
    yield Scenario("content filter, as a status", "content_filter", "400", attempts=1)
    yield Scenario("content filter, as a finish_reason", "filter_finish:3", "cut off by the filter", attempts=1)


def _silence() -> Iterator[Scenario]:
    yield Scenario("reset before the head", "reset", "lite")
    yield Scenario("closed before the head", "close", "lite")
    yield Scenario("connections refused", "refuse:60s", "lite", warm=1, attempts=3)
    yield Scenario("a kept connection closed under its next request", "stale,once", "heavy", warm=1, attempts=3)
    yield Scenario("silence", "silence", "lite", within_s=11.0, attempts=1)
    yield Scenario("silence, not streamed", "silence", "lite", within_s=11.0, attempts=1, is_stream=False)
    yield Scenario("head at once, first token after 25 s", "late_token:25s", "lite", within_s=11.0, attempts=1)
    yield Scenario("head at once, first token after 5 s", "late_token:5s", "heavy", within_s=7.0, attempts=1)
    yield Scenario("an error as the first event", "error_event:0", "lite", attempts=1)


def _breaks() -> Iterator[Scenario]:
    for count in range(NUM_TOKENS):
        end = "lite" if count == 0 else "error"
        yield Scenario(f"cut by a reset after {count} tokens", f"cut:{count},how=reset", end)
    yield Scenario("cut by a close after 3 tokens", "cut:3,how=close", "error")
    yield Scenario("clean end of the connection, no finish_reason", "clean_end:3", "error")
    yield Scenario("stall after 3 tokens", "stall:3", "error", within_s=31.0, attempts=1)
    yield Scenario("drip inside an event, never whole", "drip:3,every=200ms", "error", within_s=31.0, attempts=1)
    yield Scenario("drip inside an event, then whole", "drip:3,every=5ms,end=whole", "heavy", within_s=10.0, attempts=1)
    yield Scenario("an event that is no JSON", "bad_json:3", "error", attempts=1)
    yield Scenario(
        "an event that is no JSON, malformed: skip", "bad_json:3", "heavy", attempts=1, route={"malformed": "skip"}
    )
    yield Scenario("a broken chunk", "bad_chunk:3", "error", attempts=1)
    yield Scenario("an error event after 3 tokens", "error_event:3", "error", attempts=1)
    yield Scenario("fewer bytes than declared, not streamed", "short_body:9", "error", attempts=2, is_stream=False)


def _prefilled() -> Iterator[Scenario]:
    targets = ({"cluster": "heavy", "model": "heavy", "prefill": "plain"}, "lite/lite")
    for count in range(1, NUM_TOKENS):
        title = f"prefill: plain, cut once after {count} tokens"
        yield Scenario(title, f"cut:{count},how=reset,once", "heavy", targets=targets)
    yield Scenario("prefill: plain, stall once after 3 tokens", "stall:3,once", "heavy", 11.0, targets=targets)
    once, refusing = "cut:3,how=reset,once", ("no_prefill",)
    yield Scenario("prefill: plain, refused after 3 tokens were given", once, "error", targets=targets, then=refusing)
    held = {"hold_back": "complete"}
    title = "prefill: plain, would be refused, nothing was given"
    yield Scenario(title, once, "heavy", route=held, targets=targets, then=refusing)


def _held_back() -> Iterator[Scenario]:
    held = {"hold_back": "complete"}
    for count in range(NUM_TOKENS):
        title = f"hold_back: complete, cut after {count} tokens"
        yield Scenario(title, f"cut:{count},how=reset", "lite", route=held)
    for size in range(1, 400, 13):
        yield Scenario(f"hold_back: complete, cut at byte {size}", f"cut_byte:{size}", "lite", route=held)
    yield Scenario("hold_back: complete, stall after 3 tokens", "stall:3", "lite", 11.0, attempts=1, route=held)
    yield Scenario("hold_back: complete, drip for ever", "drip:3,every=200ms", "lite", 11.0, attempts=1, route=held)
    yield Scenario("hold_back: complete, no finish_reason", "clean_end:3", "lite", route=held)
    yield Scenario("hold_back: complete, error event after 3 tokens", "error_event:3", "lite", attempts=1, route=held)
    yield Scenario(
        "hold_back: complete, fewer bytes than declared", "short_body:9", "lite", is_stream=False, route=held
    )


def _formal() -> Iterator[Scenario]:
    yield Scenario("no [DONE]", "no_done", "heavy", attempts=1)
    yield Scenario("no usage", "no_usage", "heavy", attempts=1)
    yield Scenario("a target that refuses a prefill", "no_prefill", "heavy", attempts=1)
    yield Scenario("nothing", "well", "heavy", attempts=1)
