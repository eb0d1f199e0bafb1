"""A stream between two replicas of one model, cut at every token: the client's text is the undisturbed one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from headgate.inference.sample_checkpoint import write_sample_checkpoint

from ...running import RunningGateway, gateway, plain
from .cutter import Cut, Plan, Wire, cutter
from .tier import Tier
from .ways import Door

NUM_TOKENS = 16
NUM_KILLS = 6
PROMPT = "Wie heißt 猫 auf Deutsch? 🐈"
FAVOURED = "the quick brown é猫"
SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "seeded": {"temperature": 1.0, "seed": 7},
    "nucleus": {"temperature": 0.9, "top_p": 0.7, "seed": 11},
}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Tier]]:
    """Two servers of the same model folder."""
    folder = tmp_path_factory.mktemp("replicas")
    write_sample_checkpoint(folder / "model", seed=3, has_end=False, favoured=FAVOURED)
    made = [Tier("model", folder / "model", folder / f"{number}.log") for number in range(2)]
    for replica in made:
        replica.start()
    try:
        for replica in made:
            replica.wait()
        yield made
    finally:
        for replica in made:
            replica.stop()


async def ask(gate: RunningGateway, sampling: dict[str, Any]) -> tuple[str, str | None, set[str], Any]:
    """Return the text, the finish_reason, the ids of the chunks, and the usage."""
    async with Door(f"http://127.0.0.1:{gate.port}/v1", "none").asynchronous() as asking:
        stream = await asking.chat.completions.create(
            model="model",
            messages=[{"role": "user", "content": PROMPT}],
            stream=True,
            stream_options={"include_usage": True},
            **{"max_tokens": NUM_TOKENS, **sampling},
        )
        text, reason, ids, usage = "", None, set(), None
        async for chunk in stream:
            ids.add(chunk.id)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        return text, reason, ids, usage


class Stand:
    """A gateway over both replicas, each behind a wire that can be cut."""

    def __init__(self, gate: RunningGateway, plan: Plan) -> None:
        self.gate = gate
        self.plan = plan

    async def cut_everywhere(self, cut: Cut, sampling: dict[str, Any], is_restored: Any = None) -> int:
        """Cut after every event until none is left to cut; return how many cuts there were."""
        text, reason, _, usage = await ask(self.gate, sampling)
        assert reason == "length" and any(letter > "\x7f" for letter in text)
        number = 0
        while True:
            self.plan.after, self.plan.cut, self.plan.num_cuts = number, cut, 0
            seen = await ask(self.gate, sampling)
            self.plan.cut = None
            assert (seen[0], seen[1], len(seen[2])) == (text, reason, 1), f"cut after {number} events"
            assert seen[3] == usage, f"cut after {number} events"
            if not self.plan.num_cuts:
                return number
            number += 1
            if is_restored is not None:
                await is_restored()


@contextlib.asynccontextmanager
async def standing(replicas: list[Tier]) -> AsyncIterator[Stand]:
    plan = Plan()
    async with cutter([replica.port for replica in replicas], plan) as ports:
        # Who is silent before its answer begins is not asked again: that takes another target, of the same replicas.
        config = plain(kind="inference", deadline="30s", targets=["model", "spare"], max_attempts=6)
        config["clusters"] = dict.fromkeys(("model", "spare"), _cluster(ports))
        async with gateway(config) as gate:
            yield Stand(gate, plan)


def _cluster(ports: list[int]) -> dict[str, Any]:
    return {
        "endpoints": [f"http://127.0.0.1:{port}" for port in ports],
        "timeouts": {"head": "1s", "first_event": "1s", "idle": "250ms"},
        # The tests cut far more than any service would: nothing may be left out for it, or be refused.
        "outlier": {"failures": 100},
        "breaker": {"failures": 100},
        "retry_budget": {"floor": 1000},
    }


def stall(wire: Wire) -> None:
    """Say nothing more; the connection stays."""


def run(replicas: list[Tier], cut: Cut, sampling: dict[str, Any], is_restored: Any = None) -> int:
    async def main() -> int:
        async with standing(replicas) as stand:
            return await stand.cut_everywhere(cut, sampling, is_restored)

    return asyncio.run(main())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_a_reset_after_any_event_is_not_seen(replicas: list[Tier], sampling: dict[str, Any]) -> None:
    assert run(replicas, Wire.reset, sampling) >= NUM_TOKENS // 2


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["greedy", "nucleus"])
def test_a_stall_after_any_event_is_not_seen(replicas: list[Tier], name: str) -> None:
    assert run(replicas, stall, SAMPLINGS[name]) >= NUM_TOKENS // 2


@pytest.mark.timeout(300)
def test_a_killed_replica_is_not_seen(replicas: list[Tier]) -> None:
    """SIGKILL after every event: the other replica goes on, the killed one is started again for the next."""
    killed: list[Tier] = []

    def kill(wire: Wire) -> None:
        replica = replicas[wire.replica]
        assert replica.process is not None
        os.kill(replica.process.pid, signal.SIGKILL)
        killed.append(replica)

    async def restart() -> None:
        for replica in killed:
            await asyncio.to_thread(_restarted, replica)
        killed.clear()

    assert run(replicas, kill, SAMPLINGS["seeded"] | {"max_tokens": NUM_KILLS}, restart) >= NUM_KILLS


def _restarted(replica: Tier) -> None:
    replica.kill()  # dead already: this gives its pipe back
    replica.start()
    replica.wait()
