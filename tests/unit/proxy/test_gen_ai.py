"""Metrics under the names of OpenTelemetry's conventions, as a Prometheus client reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from headgate.proxy.downstream.body import ClientBody
from headgate.proxy.exchange.exchange import Exchange, RouteView
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Request
from headgate.proxy.observe.access_log import AccessLog
from headgate.proxy.observe.metrics import Registry
from headgate.proxy.observe.observer import Observer
from headgate.proxy.verdicts import Outcome

from .test_observer import Nobody

ANSWERED = Outcome(200, None, "", "heavy/v3", 1, False, None, 1, 2, 0.5, 0.1, "auto", 3, 40, False, is_streamed=True)
LABELS = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "heavy", "gen_ai_request_model": "v3"}


def samples(outcome: Outcome, path: str = "/v1/chat/completions", *, is_inference: bool = True) -> dict[str, float]:
    registry = Registry()
    observer = Observer(registry, AccessLog("off"))
    body = ClientBody(None, None, Nobody(), 1.0)
    request = Request("POST", path, path, "", "a", "http", "127.0.0.1", "127.0.0.1", Fields(), body)
    exchange = Exchange(request, "id", lambda: 0.0)
    exchange.route = RouteView("chat", (), {}, is_inference, 0)
    observer.ended(exchange, outcome)
    found = {}
    page = registry.render().decode()
    for family in text_string_to_metric_families(page):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if sample.name.startswith("gen_ai_") and sample.name.endswith(("_sum", "_count")):
                found[f"{sample.name}{sorted(sample.labels.items())}"] = sample.value
    return found


def key(name: str, **labels: str) -> str:
    return f"{name}{sorted((LABELS | labels).items())}"


def test_an_answered_chat_is_measured() -> None:
    found = samples(ANSWERED)
    assert found[key("gen_ai_client_token_usage_sum", gen_ai_token_type="input")] == 3
    assert found[key("gen_ai_client_token_usage_sum", gen_ai_token_type="output")] == 40
    assert found[key("gen_ai_client_operation_duration_seconds_sum", error_type="")] == 0.5
    assert found[key("gen_ai_client_operation_time_to_first_chunk_seconds_sum")] == 0.1
    assert len(found) == 8  # a sum and a count of each


def test_an_answer_that_broke_off_bears_its_error() -> None:
    broken = replace(ANSWERED, error="stalled", completion_tokens=None, prompt_tokens=None)
    found = samples(broken)
    assert found[key("gen_ai_client_operation_duration_seconds_count", error_type="stalled")] == 1
    assert not any(name.startswith("gen_ai_client_token_usage") for name in found)


def test_a_whole_answer_has_no_first_chunk() -> None:
    assert not any("first_chunk" in name for name in samples(replace(ANSWERED, is_streamed=False)))


def test_a_target_without_a_model_of_its_own_names_none() -> None:
    found = samples(replace(ANSWERED, target="heavy"), "/v1/embeddings")
    labels = {"gen_ai_operation_name": "embeddings", "gen_ai_request_model": "unset", "error_type": ""}
    assert found[key("gen_ai_client_operation_duration_seconds_count", **labels)] == 1


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/v1/completions", "text_completion"), ("/v1/responses", "chat"), ("/openai/v1/chat/completions", "chat")],
)
def test_the_end_of_a_path_says_which_operation_it_is(path: str, operation: str) -> None:
    found = samples(ANSWERED, path)
    assert found[key("gen_ai_client_token_usage_sum", gen_ai_operation_name=operation, gen_ai_token_type="input")] == 3


@pytest.mark.parametrize("path", ["/v1/models", "/", "/v1/chat/completions/x"])
def test_other_calls_are_no_operations(path: str) -> None:
    assert samples(ANSWERED, path) == {}


def test_only_what_a_target_answered_on_an_inference_route_counts() -> None:
    assert samples(replace(ANSWERED, target=None)) == {}
    assert samples(ANSWERED, is_inference=False) == {}
