"""Requests routed by the model that their body names."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.plugins.api_key import digest

from ...http_client import Answer, client, fetch
from ...running import RunningGateway, gateway
from ...upstream import Call, Upstream, upstream
from ..openai.background import Background, background

PEPPER = "a pepper of the tests"
NAMES = ("heavy", "lite", "weighted", "broken", "auto", "org/tuned")
CHAT = "/v1/chat/completions"

MODELS: dict[str, Any] = {
    "heavy": {"targets": ["heavy/deep-heavy-v1"], "aliases": ["gpt-4o", "big"]},
    "lite": {"targets": ["lite"], "aliases": ["small"], "owned_by": "acme"},
    "weighted": {"targets": [[{"cluster": "heavy", "weight": 3}, {"cluster": "lite", "weight": 1}]]},
    "broken": {"targets": ['lite/bro"ken\\']},
    "auto": {"targets": ["lite/refuses", "heavy/second"]},
    "org/tuned": {"targets": ["heavy"]},
}


def config(heavy: str, lite: str) -> dict[str, Any]:
    inference: dict[str, Any] = {"kind": "inference", "stages": {"route": ["model_route"]}}
    key = {"tenant": "acme"}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "clusters": {"heavy": {"endpoints": [heavy]}, "lite": {"endpoints": [lite]}},
        "models": MODELS,
        "plugins": {
            "api_key": {
                "pepper": "env:PEPPER",
                "inline": [
                    {"id": "all", **key, "digests": [{"digest": digest("all", PEPPER)}]},
                    {"id": "lite", **key, "models": ["li*"], "digests": [{"digest": digest("lite", PEPPER)}]},
                ],
            },
            "model_route": {},
            "with_default": {"use": "model_route", "default": "small"},
        },
        "stages": {"auth": ["api_key"]},
        "routes": [
            {"name": "models", "match": {"path": "/v1/models/{*rest}"}, "stages": {"aggregate": ["model_route"]}},
            {"name": "list", "match": {"path": "/v1/models"}, "stages": {"aggregate": ["model_route"]}},
            {"name": "chat", "match": {"path": CHAT}, **inference},
            {
                "name": "default",
                "match": {"path": "/v1/default/{*rest}"},
                **inference,
                "stages": {"route": ["with_default"]},
            },
            {
                "name": "mixed",
                "match": {"path": "/v1/mixed/{*rest}"},
                "targets": ["lite"],
                **inference,
                "stages": {"route": ["model_route"], "aggregate": ["model_route"]},
            },
        ],
    }


class Tiers:
    """A gateway over two upstreams that show what they were asked."""

    def __init__(self, behind: Background, gate: RunningGateway, heavy: Upstream, lite: Upstream) -> None:
        self._behind = behind
        self.gate = gate
        self.heavy = heavy
        self.lite = lite

    def ask(self, body: bytes | None, *fields: str, path: str = CHAT, method: str = "POST", key: str = "all") -> Answer:
        fields = (f"Authorization: Bearer {key}", *fields)
        return self._behind.run(fetch(self.gate.port, method, path, body, *fields))

    def get(self, path: str, key: str = "all", method: str = "GET") -> Answer:
        return self.ask(None, path=path, method=method, key=key)

    def run(self, work: Any) -> Any:
        return self._behind.run(work)


async def show(call: Call) -> None:
    """Answer with the body as it came; refuse where the model says so."""
    body = call.body
    if call.fields("transfer-encoding"):
        body = b""
        while size := int(await call.reader.readuntil(b"\r\n"), 16):
            body += (await call.reader.readexactly(size + 2))[:-2]
        await call.reader.readexactly(2)
    status = "503 Busy" if b'"refuses"' in body else "200 OK"
    await call.answer(body, status, "X-Length: " + ",".join(call.fields("content-length")))


@pytest.fixture(scope="module")
def tiers() -> Iterator[Tiers]:
    with (
        background() as loop,
        loop.holding(upstream(show)) as heavy,
        loop.holding(upstream(show)) as lite,
        loop.holding(gateway(config(heavy.url, lite.url), PEPPER=PEPPER)) as gate,
    ):
        yield Tiers(loop, gate, heavy, lite)


# What the client sends; what arrives, where; everything but the model's own text is as it came.
REWRITTEN = {
    "the target's own model": (
        b'{"model":"heavy","n":1}',
        "heavy/deep-heavy-v1",
        b'{"model":"deep-heavy-v1","n":1}',
    ),
    "an alias, to the target's model": (b'{"model":"gpt-4o"}', "heavy/deep-heavy-v1", b'{"model":"deep-heavy-v1"}'),
    "an alias, to the model's name": (b'{"model":"small"}', "lite", b'{"model":"lite"}'),
    "nothing to change": (b'{ "model" : "lite" , "b":1.0}\n', "lite", b'{ "model" : "lite" , "b":1.0}\n'),
    "space, order, numbers, escapes and equal names stay": (
        b' {\t"a": 1.00, "a": 2e0, "x": {"model": "inner"}, "model" :"\\u0062ig",\r\n"z": "\\u00e9\xc3\xa9"} \n',
        "heavy/deep-heavy-v1",
        b' {\t"a": 1.00, "a": 2e0, "x": {"model": "inner"}, "model" :"deep-heavy-v1",\r\n"z": "\\u00e9\xc3\xa9"} \n',
    ),
    "an escaped name": (b'{"mod\\u0065l":"big"}', "heavy/deep-heavy-v1", b'{"mod\\u0065l":"deep-heavy-v1"}'),
    "a model that needs escapes": (
        b'{"model":"broken"}',
        'lite/bro"ken\\',
        b'{"model":"bro\\"ken\\\\"}',
    ),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_the_model_is_rewritten_and_nothing_else(tiers: Tiers, name: str) -> None:
    sent, target, wanted = REWRITTEN[name]
    answer = tiers.ask(sent)
    assert (answer.status, answer.body) == (200, wanted)
    assert answer.field("x-length") == str(len(wanted))
    assert (
        answer.field("x-headgate-target") == target.encode().decode("latin-1") or name == "a model that needs escapes"
    )


def test_each_target_of_a_fallback_is_asked_for_its_own_model(tiers: Tiers) -> None:
    answer = tiers.ask(b'{"model": "auto", "x": 1}')
    assert (answer.status, answer.body) == (200, b'{"model": "second", "x": 1}')
    assert answer.field("x-headgate-target") == "heavy/second"
    assert tiers.lite.calls[-1].body == b'{"model": "refuses", "x": 1}'


def test_a_large_body_is_rewritten_whole_whether_it_has_a_length_or_not(tiers: Tiers) -> None:
    text = "\u00e9x" * 250_000
    body = json.dumps({"messages": [text], "model": "big", "after": text}, ensure_ascii=False).encode()
    wanted = body.replace(b'"big"', b'"deep-heavy-v1"')

    async def chunked() -> Answer:
        async with client(tiers.gate.port) as connected:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer all\r\nTransfer-Encoding: chunked\r\n\r\n"
            connected.writer.write(head.encode())
            for at in range(0, len(body), 50_001):
                piece = body[at : at + 50_001]
                connected.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await connected.writer.drain()
            connected.writer.write(b"0\r\n\r\n")
            return await connected.answer("POST")

    for answer in (tiers.ask(body), tiers.run(chunked())):
        assert answer.status == 200
        assert answer.body == wanted
        assert answer.field("x-length") == str(len(wanted))


def test_a_chunked_body_that_needs_no_change_arrives_as_it_came(tiers: Tiers) -> None:
    async def chunked() -> Answer:
        async with client(tiers.gate.port) as connected:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer all\r\nTransfer-Encoding: chunked\r\n\r\n"
            connected.writer.write(head.encode() + b'8\r\n{"model"\r\n')
            await connected.writer.drain()
            connected.writer.write(b'8\r\n:"lite"}\r\n0\r\n\r\n')
            return await connected.answer("POST")

    answer = tiers.run(chunked())
    assert (answer.status, answer.body, answer.field("x-length")) == (200, b'{"model":"lite"}', "")


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "an unknown model": (b'{"model":"nobody"}', 404, "model_not_found"),
    "an empty model": (b'{"model":""}', 404, "model_not_found"),
    "a target's model, which is no model of ours": (b'{"model":"deep-heavy-v1"}', 404, "model_not_found"),
    "no model": (b'{"messages":[]}', 400, "bad_body"),
    "no body": (b"", 400, "bad_body"),
    "model is null": (b'{"model":null}', 400, "bad_body"),
    "model is a number": (b'{"model":1}', 400, "bad_body"),
    "model twice": (b'{"model":"lite","model":"heavy"}', 400, "bad_body"),
    "model twice, once escaped": (b'{"model":"lite","m\\u006fdel":"lite"}', 400, "bad_body"),
    "model twice, once in other letters": (b'{"model":"lite","MODEL":"heavy"}', 400, "bad_body"),
    "no object": (b'["model"]', 400, "bad_body"),
    "no JSON": (b'{"model":"lite"', 400, "bad_body"),
    "more than JSON": (b'{"model":"lite"} {}', 400, "bad_body"),
    "no UTF-8": (b'{"model":"lite\xff"}', 400, "bad_body"),
    "half a surrogate pair as the model": (b'{"model":"\\ud800"}', 400, "bad_body"),
    "half a surrogate pair elsewhere": (b'{"model":"lite","x":"\\ud800"}', 400, "bad_body"),
    "no JSON number": (b'{"model":"lite","x":NaN}', 400, "bad_body"),
    "too deep": (b'{"model":"lite","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400, "bad_body"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_no_model_is_refused_in_openai_shape(tiers: Tiers, name: str) -> None:
    body, status, code = REFUSED[name]
    num_asked = len(tiers.heavy.calls) + len(tiers.lite.calls)
    answer = tiers.ask(body)
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert error["request_id"] == answer.field("x-request-id")
    assert len(tiers.heavy.calls) + len(tiers.lite.calls) == num_asked


def test_a_key_reaches_its_models_only_and_is_not_told_of_others(tiers: Tiers) -> None:
    assert tiers.ask(b'{"model":"lite"}', key="lite").status == 200
    assert tiers.ask(b'{"model":"small"}', key="lite").status == 200
    forbidden, unknown = tiers.ask(b'{"model":"heavy"}', key="lite"), tiers.ask(b'{"model":"nobody"}', key="lite")
    assert (forbidden.status, unknown.status) == (404, 404)
    assert forbidden.json()["error"]["code"] == unknown.json()["error"]["code"] == "model_not_found"
    assert forbidden.json()["error"]["message"].replace("heavy", "nobody") == unknown.json()["error"]["message"]


def test_a_default_serves_requests_that_name_no_model(tiers: Tiers) -> None:
    answer = tiers.ask(b'{"messages":[]}', path="/v1/default/chat")
    assert (answer.status, answer.field("x-headgate-target")) == (200, "lite")
    assert tiers.ask(b'{"model":"big"}', path="/v1/default/chat").body == b'{"model":"deep-heavy-v1"}'
    assert tiers.ask(b'{"model":"nobody"}', path="/v1/default/chat").status == 404


def test_the_list_holds_what_the_key_may_use(tiers: Tiers) -> None:
    answer = tiers.get("/v1/models")
    assert (answer.status, answer.field("content-type")) == (200, "application/json")
    listed = answer.json()
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == list(NAMES)
    assert {(entry["object"], type(entry["created"])) for entry in listed["data"]} == {("model", int)}
    owners = {entry["id"]: entry["owned_by"] for entry in listed["data"]}
    assert (owners["lite"], owners["heavy"]) == ("acme", "headgate")
    assert [entry["id"] for entry in tiers.get("/v1/models?x=1", key="lite").json()["data"]] == ["lite"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("heavy", "heavy"),
        ("gpt-4o", "heavy"),
        ("org/tuned", "org/tuned"),
        ("org%2Ftuned", None),  # the path is ambiguous: refused before any route
        ("h%65avy", "heavy"),
        ("nobody", None),
    ],
)
def test_one_model_is_found_by_its_names(tiers: Tiers, name: str, found: str | None) -> None:
    answer = tiers.get(f"/v1/models/{name}")
    assert (answer.json()["id"] if answer.status == 200 else None) == found
    assert answer.status == 200 or answer.json()["error"]["code"] in ("model_not_found", "bad_request")


def test_one_model_that_the_key_may_not_use_is_unknown(tiers: Tiers) -> None:
    assert tiers.get("/v1/models/lite", key="lite").status == 200
    hidden, unknown = tiers.get("/v1/models/heavy", key="lite"), tiers.get("/v1/models/nobody", key="lite")
    assert (hidden.status, unknown.status) == (404, 404)
    assert hidden.json()["error"]["message"] == unknown.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/heavy", "/v1/models/nobody"])
def test_head_says_what_get_would(tiers: Tiers, path: str) -> None:
    head, whole = tiers.get(path, method="HEAD"), tiers.get(path)
    assert (head.status, head.body) == (whole.status, b"")
    assert head.field("content-type") == whole.field("content-type")
    if whole.status == 200:
        assert head.field("content-length") == str(len(whole.body))


@pytest.mark.parametrize("path", ["/v1/mixed/heavy", "/v1/mixed/anything", "/v1/mixed/modelsheavy"])
def test_a_path_that_is_no_list_of_models_is_left_to_the_targets(tiers: Tiers, path: str) -> None:
    num_asked = len(tiers.lite.calls)
    assert tiers.get(path).status == 200
    assert len(tiers.lite.calls) == num_asked + 1


def test_weights_share_the_requests_of_a_group(tiers: Tiers) -> None:
    async def ask(number: int) -> Counter[str | None]:
        served: Counter[str | None] = Counter()
        async with client(tiers.gate.port) as connected:
            for _ in range(number):
                answer = await connected.request("POST", CHAT, b'{"model":"weighted"}', "Authorization: Bearer all")
                served[answer.field("x-headgate-target")] += 1
        return served

    async def many() -> Counter[str | None]:
        return sum(await asyncio.gather(*(ask(50) for _ in range(8))), Counter())

    served = tiers.run(many())
    assert served.keys() == {"heavy", "lite"}
    assert served.total() == 400
    assert abs(served["heavy"] - 300) <= 44  # five standard deviations: wrong less than once in a million runs
