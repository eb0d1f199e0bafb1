"""What the handlers of one served model share."""

from __future__ import annotations

from dataclasses import dataclass, field

from .admission import Admission
from .config import ModelConfig
from .metrics import Metrics
from .tokenizer import Tokenizer
from .worker import Worker


@dataclass(frozen=True, slots=True)
class Service:
    """One loaded model with its queue and its counters. `created` is in Unix seconds."""

    name: str
    numerics: str
    created: int
    config: ModelConfig
    tokenizer: Tokenizer
    worker: Worker
    admission: Admission
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def fingerprint(self) -> str:
        """The numerics id, in the form of OpenAI's `system_fingerprint`."""
        return f"fp_{self.numerics}"


@dataclass(slots=True)
class Outcome:
    """What one exchange came to, for its log line and the counters. `started_at` is on the event loop's clock."""

    started_at: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replayed_tokens: int = 0
    finish_reason: str = "-"
    first_token_s: float | None = None
