"""Laws of the event stream of parts, over any delays and faults, on the virtual clock."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate.ext.sse import Event, EventScanner
from headgate.proxy.exchange.message import Response

from ...unit.plugins.aggregate.branches import JSON, Fate, Told, tell
from ...unit.plugins.aggregate.test_parts import STREAM, chunks

DEADLINE_S = 4.0
SPANS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 3.0, 6.0])
STRATEGIES = st.sampled_from(["all", "quorum", "best_of", "merge"])
fates = st.builds(
    Fate,
    head_s=SPANS,
    fails=st.sampled_from([None, None, None, "connect_failed", "reset"]),
    status=st.sampled_from([200, 200, 200, 500]),
    body_s=SPANS,
    body=st.sampled_from([chunks("a"), chunks("b", "c"), chunks("d" * 300, end=b""), b'{"n": 1}', b"garbage", None]),
    cut=st.sampled_from([None, None, "truncated", "stalled"]),
).map(lambda fate: replace(fate, media_type=STREAM if (fate.body or b"data").startswith(b"data") else JSON))
branch_options = st.fixed_dictionaries(
    {}, optional={"required": st.booleans(), "timeout": st.sampled_from(["210ms", "1010ms", "2020ms"])}
)
worlds = st.lists(st.tuples(fates, branch_options), min_size=1, max_size=5)
World = list[tuple[Fate, dict[str, Any]]]


def play(world: World, strategy: str, **more: Any) -> Told:
    # The machine breaks a body off at the deadline; here the script does.
    bounded = [
        replace(fate, body=fate.body or chunks("e"), cut="deadline", body_s=max(0.0, DEADLINE_S - fate.head_s))
        if fate.body is None or fate.head_s + fate.body_s > DEADLINE_S
        else fate
        for fate, _ in world
    ]
    branches = {chr(97 + at): branch for at, (_, branch) in enumerate(world)}
    told = tell(bounded, strategy=strategy, branches=branches, parts="events", deadline_s=DEADLINE_S, **more)
    assert told.num_tasks == 0
    assert all(body.is_closed for body in told.bodies)
    return told


def events_of(body: bytes) -> list[Event]:
    scanner = EventScanner()
    found = [*scanner.feed(body), *scanner.finish()]
    assert not scanner.rest()
    return found


@given(worlds, STRATEGIES)
def test_a_stream_has_one_lead_whole_each_other_branch_once_and_one_end(world: World, strategy: str) -> None:
    told = play(world, strategy)
    assert told.ended_at <= DEADLINE_S + 0.02
    if not isinstance(told.answer, Response) or told.answer.status != 200:  # nothing was good: no stream of parts
        return
    found = events_of(told.body)
    names = [event.name for event in found]
    assert names.count(b"headgate.end") == 1
    end = json.loads(found[names.index(b"headgate.end")].data or b"")["end"]
    outcomes = {branch["branch"]: branch["outcome"] for branch in end["branches"]}
    assert list(outcomes) == [chr(97 + at) for at in range(len(world))]
    assert set(outcomes.values()) <= {"ok", "error", "timeout", "skipped"} and "ok" in outcomes.values()
    parts = [json.loads(event.data or b"")["part"]["branch"] for event in found if event.name == b"headgate.part"]
    assert len(set(parts)) == len(parts)
    own = b"".join(event.raw for event in found if not event.name and event.data != b"[DONE]")
    leads = [name for name in outcomes if name not in parts and outcomes[name] == "ok"]
    assert len(leads) <= 1
    wanted = (world[ord(leads[0]) - 97][0].body or b"").replace(b"data: [DONE]\n\n", b"") if leads else b""
    assert own == wanted  # nothing of it is doubled, forged or missing
    behind = found[names.index(b"headgate.end") + 1 :]
    assert [event.data for event in behind] in ([], [b"[DONE]"])


@given(worlds, STRATEGIES, SPANS)
def test_a_client_that_leaves_a_stream_leaves_nothing_behind(world: World, strategy: str, leave_s: float) -> None:
    assert play(world, strategy, leave_s=leave_s).ended_at <= leave_s + 0.01
