"""Services that break off, and services that go on from the text so far, behind one gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...http_client import Answer, fetch
from ...running import RunningGateway
from ...upstream import Call, Script, Upstream
from .completions import DONE, PATH, begin, chunks, end, play, streaming

WORDS = ("Der ", "Käse", " kostet", " 3 €", " für 猫 ", "🚀", ".")
TEXT = "".join(WORDS)
QUESTION = [{"role": "user", "content": "Was kostet der Käse?"}]
PLAIN: dict[str, Any] = {"cluster": "t0", "prefill": "plain"}
SECOND: dict[str, Any] = {"cluster": "t1", "prefill": "plain"}
ECHOED: dict[str, Any] = {"cluster": "t0", "prefill": "echoed_prefix"}
Json = dict[str, Any]


def chunk(delta: Json, reason: str | None = None, *, name: str = "a", **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    value = {"id": f"chatcmpl-{name}", "created": 7 if name == "a" else 8, "model": f"m-{name}", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(value).encode()


def said(words: Sequence[str], *, name: str = "a") -> list[bytes]:
    """A stream that says so many words: its role, the words, the finish_reason, the usage; `[DONE]` left out."""
    role = chunk({"role": "assistant", "content": ""}, name=name)
    usage = {"id": f"chatcmpl-{name}", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": len(words)}}
    last = [chunk({}, "stop", name=name), b"data: %b\n\n" % json.dumps(usage).encode()]
    return [role, *(chunk({"content": word}, name=name) for word in words), *last]


def cut(num_events: int, *, then: str = "cut") -> Script:
    """A service that says the text, and breaks off after so many events."""
    return streaming(*said(WORDS)[:num_events], then=then)


async def going_on(call: Call) -> None:
    """A service that goes on with the text where the last message is the assistant's, and says nothing else."""
    prefill = json.loads(call.body)["messages"][-1]
    assert prefill["role"] == "assistant" and TEXT.startswith(prefill["content"])
    await begin(call)
    rest = TEXT[len(prefill["content"]) :]
    words = [rest[at : at + 3] for at in range(0, len(rest), 3)]
    await chunks(call, [b": ping\n\n", *said(words, name="b"), DONE])
    await end(call)


def then(*scripts: Script) -> Script:
    """One script for each request in turn; the last one for all that follow."""
    left = list(scripts)

    async def script(call: Call) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(call)

    return script


def shown(answer: Answer) -> str:
    """The text that a client shows."""
    return "".join(value["choices"][0]["delta"].get("content") or "" for value in told(answer) if value.get("choices"))


def told(answer: Answer) -> list[Json]:
    """The chunks of an answer, an error at its end included."""
    lines = [line for line in answer.body.splitlines() if line.startswith(b"data: {")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def asked(call: Call) -> Json:
    value: Json = json.loads(call.body)
    return value


def ask_for(**more: Any) -> Any:
    """What asks the gateway, and returns the answer and the requests that each upstream got."""

    async def ask(gate: RunningGateway, served: list[Upstream]) -> tuple[Answer, list[list[Call]]]:
        body = json.dumps({"model": "auto", "messages": QUESTION, "stream": True, **more}).encode()
        answer = await fetch(gate.port, "POST", PATH, body)
        return answer, [each.calls for each in served]

    return ask


def run(*scripts: Script, request: Json | None = None, **route: Any) -> tuple[Answer, list[list[Call]]]:
    found: tuple[Answer, list[list[Call]]] = play(
        *scripts, ask=ask_for(**request or {}), **{"targets": [PLAIN], **route}
    )
    return found


def run_each(
    scripts: Sequence[Script], requests: Sequence[Json] | None = None, **route: Any
) -> list[tuple[Answer, list[Call]]]:
    """Ask one gateway with one target once for each script."""

    async def ask(gate: RunningGateway, served: list[Upstream]) -> list[tuple[Answer, list[Call]]]:
        found = []
        for script, request in zip(scripts, requests or [{}] * len(scripts), strict=True):
            served[0].script = script
            served[0].calls.clear()
            answer, (calls,) = await ask_for(**request)(gate, served)
            found.append((answer, list(calls)))
        return found

    answers: list[tuple[Answer, list[Call]]] = play(scripts[0], ask=ask, **{"targets": [PLAIN], **route})
    return answers


def is_joined(answer: Answer) -> bool:
    """Whether an answer reads as one: one role, one id, one instant of creation, one finish_reason."""
    values = told(answer)
    choices = [value["choices"][0] for value in values if value["choices"]]
    return (
        answer.is_whole
        and sum("role" in choice["delta"] for choice in choices) == 1
        and {value["id"] for value in values} == {"chatcmpl-a"}
        and {value.get("created", 7) for value in values} == {7}
        and [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
        and answer.body.endswith(DONE)
    )


def is_told(answer: Answer, code: str) -> bool:
    """Whether an answer ends visibly, by one error event of that kind."""
    errors = [value["error"]["code"] for value in told(answer) if "error" in value]
    return (
        not answer.is_whole and errors == [code] and b'finish_reason": "' not in answer.body and DONE not in answer.body
    )


async def refusing(call: Call) -> None:
    await call.answer(b'{"error": {"message": "no"}}', "400 Bad Request", "Content-Type: application/json")


async def failing(call: Call) -> None:
    await call.answer(b"", "500 Internal Server Error")
