"""Two stands for the openai client: the demo's configuration over two real tiers, and one over a scripted upstream."""

from __future__ import annotations

import socket
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from headgate.inference.sample_checkpoint import write_sample_checkpoint
from headgate.plugins.api_key import digest

from ...running import WAIT_S, RunningGateway, gateway
from ...upstream import Call, Upstream, upstream
from .background import Background, background
from .tier import Tier
from .ways import MESSAGES, Door

PEPPER = "headgate-demo-pepper"
TOKEN = "token-of-the-admin-address"
CONTEXT_TOKENS = 16384


@dataclass(frozen=True, slots=True)
class TwoTiers:
    """The demo's gateway with tiers of random weights in which no token ends a text."""

    gate: RunningGateway
    heavy: Tier
    lite: Tier

    def door(self, key: str = "demo", **settings: Any) -> Door:
        return Door(f"http://127.0.0.1:{self.gate.port}/v1", key, **settings)

    def until_heavy_answers(self) -> None:
        """Ask until the breaker of a tier that was away lets a request through again."""
        with self.door(max_retries=5).sync() as client:  # on a slow machine it asks often enough to be limited
            until = time.monotonic() + WAIT_S
            while True:
                raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES, max_tokens=1)
                if raw.headers["x-headgate-target"] == "heavy/heavy":
                    return
                assert time.monotonic() < until, "the heavier tier is not used again"


@dataclass(slots=True)
class Scripted:
    """A gateway over an upstream that does as a test says. `script` is what it does next."""

    gate: RunningGateway
    upstream: Upstream
    background: Background

    def door(self, key: str = "full", path: str = "/v1", **settings: Any) -> Door:
        return Door(f"http://127.0.0.1:{self.gate.port}{path}", key, **settings)


@pytest.fixture(scope="session")
def behind() -> Iterator[Background]:
    with background() as loop:
        yield loop


@pytest.fixture(scope="session")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tier, Tier]]:
    """The tiers `heavy` and `lite`, of different weights."""
    folder = tmp_path_factory.mktemp("tiers")
    made = tuple(Tier(name, folder / name, folder / f"{name}.log") for name in ("heavy", "lite"))
    for seed, tier in enumerate(made):
        write_sample_checkpoint(tier.checkpoint, seed=seed, context_tokens=CONTEXT_TOKENS, has_end=False)
        tier.start()
    heavy, lite = made
    try:
        heavy.wait()
        lite.wait()
        yield heavy, lite
    finally:
        heavy.stop()
        lite.stop()
    assert "Traceback" not in heavy.log.read_text() + lite.log.read_text()


@pytest.fixture(scope="session")
def demo_gateway(tiers: tuple[Tier, Tier], behind: Background) -> Iterator[RunningGateway]:
    """The gateway of demo.yaml as it stands, over these tiers."""
    names = {f"{tier.name}_port": str(tier.port) for tier in tiers}
    template = string.Template(Path(str(files("headgate.demo") / "demo.yaml")).read_text())
    text = template.substitute(names, gateway_port="0", admin_port="0", access_log="'-'")
    served = gateway(text, HEADGATE_DEMO_PEPPER=PEPPER, HEADGATE_DEMO_TOKEN=TOKEN)
    with behind.holding(served) as running:
        yield running


@pytest.fixture
def two_tiers(demo_gateway: RunningGateway, tiers: tuple[Tier, Tier]) -> TwoTiers:
    """Both tiers run. A test may kill them: the next that needs them starts them again."""
    for tier in tiers:
        if not tier.is_running():
            tier.stop()
            tier.start()
            tier.wait()
    both = TwoTiers(demo_gateway, *tiers)
    both.until_heavy_answers()
    return both


@pytest.fixture(scope="session")
def scripted_stand(behind: Background) -> Iterator[Scripted]:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        with behind.holding(upstream(_unscripted)) as served:
            config = _config(served.url, f"http://127.0.0.1:{dead.getsockname()[1]}")
            with behind.holding(gateway(config, PEPPER=PEPPER)) as running:
                yield Scripted(running, served, behind)


@pytest.fixture
def scripted(scripted_stand: Scripted) -> Scripted:
    """The stand, with an upstream that nobody is expected to ask until the test gives it a script."""
    scripted_stand.upstream.script = _unscripted
    scripted_stand.upstream.calls.clear()
    return scripted_stand


async def _unscripted(call: Call) -> None:
    await call.answer(b"nobody was expected to ask", "418 I'm a teapot")


# What each key may do; a key's text is its id.
_KEYS: dict[str, dict[str, Any]] = {
    "full": {"scopes": ["train"]},
    "no-scope": {},
    "only-models": {"routes": ["model*"]},
    "only-m": {"models": ["m"]},
    "disabled": {"disabled": True},
    "expired": {},
    "one-at-a-time": {"max_parallel": 1},
    **{f"limited-{number}": {} for number in range(4)},
    "patient": {},
}


def _key(name: str, rights: dict[str, Any]) -> dict[str, Any]:
    end = {"not_after": "2020-01-01T00:00:00Z"} if name == "expired" else {}
    return {"id": name, "tenant": "test", "digests": [{"digest": digest(name, PEPPER), **end}], **rights}


def _config(url: str, dead_url: str) -> dict[str, Any]:
    chat = {"kind": "inference", "stages": {"route": ["model_route"]}, "deadline": "20s"}
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "access_log": "-",
        "clusters": {
            # One failure after another, each told as what it is: nothing may be held against the service.
            "up": {"endpoints": [url], "timeouts": {"idle": "500ms"}, "retry_budget": {"floor": 1000}},
            "hasty": {"endpoints": [url], "timeouts": {"head": "200ms", "first_event": "200ms"}},
            "dead": {"endpoints": [dead_url]},
        },
        "models": {
            "m": {"targets": ["up/m"]},
            "other": {"targets": ["up/other"]},
            "hasty": {"targets": ["hasty/m"]},
            "dead": {"targets": ["dead/m"]},
        },
        "plugins": {
            "api_key": {"pepper": "env:PEPPER", "inline": [_key(name, rights) for name, rights in _KEYS.items()]},
            "rate_limit": {"by": ["key"], "rate": "1000/s"},
            "model_route": {},
        },
        "stages": {"auth": ["api_key"], "ratelimit": ["api_key"]},
        "routes": [
            {"name": "models", "match": {"path": "/v1/models"}, "stages": {"aggregate": ["model_route"]}},
            {"name": "model", "match": {"path": "/v1/models/{name}"}, "stages": {"aggregate": ["model_route"]}},
            {"name": "chat", "match": {"path": "/v1/chat/completions", "methods": ["POST"]}, **chat},
            {"name": "small", "match": {"path": "/v1/small/chat/completions"}, **chat, "body_limit": "8KiB"},
            {
                "name": "scoped",
                "match": {"path": "/v1/scoped/chat/completions"},
                **chat,
                "plugins": {"api_key": {"scopes": ["train"]}},
            },
            *(_limited(name, rate, chat) for name, rate in (("limited", "1/h"), ("brisk", "1/s"))),
        ],
    }


def _limited(name: str, rate: str, chat: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "match": {"path": f"/v1/{name}/chat/completions"},
        **chat,
        "stages": {"route": ["model_route"], "ratelimit": ["rate_limit"]},
        "plugins": {"rate_limit": {"rate": rate, "burst": 1}},
    }
