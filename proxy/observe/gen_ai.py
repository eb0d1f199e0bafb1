"""Metrics of inference exchanges under the names of OpenTelemetry's conventions for generative AI.

The names are those that an OpenTelemetry collector gives them in Prometheus' form. As the conventions are still marked
as being developed, they stand in this one module, and the gateway's own metrics beside them do not change with them.

Source: OpenTelemetry semantic conventions for generative AI metrics; Prometheus compatibility of OpenTelemetry metrics.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ext.tally import Step
from .ending import COMPLETION_TOKENS, DURATION_S, FIRST_BYTE_S, PROMPT_TOKENS, Ending
from .metrics import Histogram, Registry

TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
DURATION_BUCKETS_S = tuple(0.01 * 2**power for power in range(14))

_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_NO_MODEL = "unset"  # the target takes the model that the client names, which is no name of the configuration


class GenAiMetrics:
    """What answered inference exchanges took. The provider is the cluster, the model that of the target."""

    def __init__(self, registry: Registry) -> None:
        make = registry.register
        self._tokens = make(
            Histogram(
                "gen_ai_client_token_usage",
                "Tokens of an exchange.",
                (*_LABELS, "gen_ai_token_type"),
                TOKEN_BUCKETS,
            )
        )
        self._duration = make(
            Histogram(
                "gen_ai_client_operation_duration_seconds",
                "Head to end of an exchange.",
                (*_LABELS, "error_type"),
                DURATION_BUCKETS_S,
            )
        )
        self._first_chunk = make(
            Histogram(
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "Head to the first event of a stream.",
                _LABELS,
                DURATION_BUCKETS_S,
            )
        )

    def steps(self, ending: Ending) -> Iterator[Step]:
        """Yield what counts an exchange, if a target answered an inference request."""
        if ending.operation is None or ending.target is None:
            return
        cluster, _, model = ending.target.partition("/")
        labels = (ending.operation, cluster, model or _NO_MODEL)
        yield self._duration.step(DURATION_S, *labels, ending.error or "")
        if ending.is_streamed and ending.has_first_byte:
            yield self._first_chunk.step(FIRST_BYTE_S, *labels)
        if ending.has_prompt_tokens:
            yield self._tokens.step(PROMPT_TOKENS, *labels, "input")
        if ending.has_completion_tokens:
            yield self._tokens.step(COMPLETION_TOKENS, *labels, "output")
