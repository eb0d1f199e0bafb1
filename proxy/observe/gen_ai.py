"""Metrics of inference exchanges under the names of OpenTelemetry's conventions for generative AI.

The names are those that an OpenTelemetry collector gives them in Prometheus' form. As the conventions are still marked
as being developed, they stand in this one module, and the gateway's own metrics beside them do not change with them.

Source: OpenTelemetry semantic conventions for generative AI metrics; Prometheus compatibility of OpenTelemetry metrics.
"""

from __future__ import annotations

from ..exchange.exchange import Exchange
from ..verdicts import Outcome
from .metrics import Histogram, Registry

TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
DURATION_BUCKETS_S = tuple(0.01 * 2**power for power in range(14))

_OPERATIONS = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
    "/responses": "chat",
    "/embeddings": "embeddings",
}
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

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Take an exchange in, if a target answered an inference request."""
        operation = _operation(exchange.request.path)
        if operation is None or outcome.target is None or not exchange.route.is_inference:
            return
        cluster, _, model = outcome.target.partition("/")
        labels = (operation, cluster, model or _NO_MODEL)
        self._duration.observe(outcome.duration_s, *labels, outcome.error or "")
        if outcome.is_streamed and outcome.first_byte_s is not None:
            self._first_chunk.observe(outcome.first_byte_s, *labels)
        for kind, tokens in (("input", outcome.prompt_tokens), ("output", outcome.completion_tokens)):
            if tokens is not None:
                self._tokens.observe(tokens, *labels, kind)


def _operation(path: str) -> str | None:
    return next((name for ending, name in _OPERATIONS.items() if path.endswith(ending)), None)
