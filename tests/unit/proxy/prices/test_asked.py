"""Requests that are made for routes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.ext.route_table import RouteTable
from headgate.proxy.body_scan import scan
from headgate.proxy.config.load import load
from headgate.proxy.config.schema import Config
from headgate.proxy.prices.asked import Asked, asked_of, given_by
from headgate.proxy.usage import UsageTap


def config_of(match: dict[str, Any], **route: Any) -> Config:
    text = {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"near": {"endpoints": ["http://127.0.0.1:1"]}},
        "models": {"large": {"targets": ["near"]}},
        "routes": [{"name": "all", "match": match, "targets": ["near"], **route}],
    }
    return load(json.dumps(text), {})


@pytest.mark.parametrize(
    "match",
    [
        {"path": "/"},
        {"path": "/files/{id}/of/{*rest}"},
        {"path": "/{*rest}", "hosts": ["*.example.com"]},
        {"path": "/a", "hosts": ["gate.example", "other.example"]},
        {"path": "/a", "methods": ["DELETE", "PUT"]},
        {"path": "/a", "headers": {"x-a": "1", "x-b": {"prefix": "ab"}, "x-c": {"present": True}}},
        {"path": "/a", "headers": {"x-d": {"present": False}}},
    ],
)
@pytest.mark.parametrize("kind", ["http", "inference"])
def test_a_request_is_one_that_its_route_takes(match: dict[str, Any], kind: str) -> None:
    config = config_of(match, kind=kind)
    asked = asked_of(config.routes[0], config)
    fields = {name.lower(): value for name, value in asked.fields}
    found = RouteTable([config.routes[0].to_spec()]).match(asked.host, asked.target, asked.method, fields)
    assert found is not None
    if kind == "inference" and not match.get("methods"):
        assert asked.method == "POST"
        assert scan(asked.body).model == "large"


def test_a_route_that_takes_no_posts_is_asked_without_a_body() -> None:
    config = config_of({"path": "/v1/models", "methods": ["GET", "HEAD"]}, kind="inference")
    assert asked_of(config.routes[0], config) == Asked("GET", "/v1/models")


def test_fields_and_body_can_be_given() -> None:
    asked = Asked("POST", "/", fields=(("Content-Type", "text/plain"), ("X-A", "1")), body=b"a")
    assert asked.altered({}, None) == asked
    altered = asked.altered({"x-a": "2", "X-B": "3"}, b"")
    assert altered.fields == (("Content-Type", "text/plain"), ("x-a", "2"), ("X-B", "3"))
    assert altered.body == b""


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_answer_of_an_inference_route_is_one(is_stream: bool) -> None:
    config = config_of({"path": "/a"}, kind="inference")
    given = given_by(config.routes[0], is_stream=is_stream)
    tap = UsageTap(dict(given.fields)["Content-Type"])
    tap.feed(given.body)
    tap.finish()
    if is_stream:
        assert tap.num_events == 15 and given.body.endswith(b"data: [DONE]\n\n")
    else:
        assert (tap.prompt_tokens, tap.completion_tokens) == (9, 12)
