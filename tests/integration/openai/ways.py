"""The ways of asking that must agree: sync or async client, answer whole or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai

# The connections are plain, and reading the certificates anew for each client would take longer than most tests.
_NO_CERTIFICATES = False
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True, slots=True)
class Door:
    """Where to ask, and with which key. `on_piece` is called with each piece of a streamed answer."""

    url: str
    key: str
    timeout_s: float = 30.0
    max_retries: int = 0
    on_piece: Callable[[str], object] = len

    def sync(self) -> openai.OpenAI:
        return openai.OpenAI(**self._settings(), http_client=openai.DefaultHttpxClient(verify=_NO_CERTIFICATES))

    def asynchronous(self) -> openai.AsyncOpenAI:
        http_client = openai.DefaultAsyncHttpxClient(verify=_NO_CERTIFICATES)
        return openai.AsyncOpenAI(**self._settings(), http_client=http_client)

    def _settings(self) -> dict[str, Any]:
        return {
            "base_url": self.url,
            "api_key": self.key,
            "timeout": self.timeout_s,
            "max_retries": self.max_retries,
        }


def whole(door: Door, **asked: Any) -> str:
    """Return the text of a whole chat answer."""
    with door.sync() as client:
        answer = client.chat.completions.create(**_with_messages(asked))
    return str(answer.choices[0].message.content)


def streamed(door: Door, **asked: Any) -> str:
    """Return the text of a streamed chat answer; what came before a break is in the exception's notes."""
    pieces: list[str] = []
    with door.sync() as client:
        try:
            with client.chat.completions.create(**_with_messages(asked), stream=True) as stream:
                for chunk in stream:
                    pieces.append(chunk.choices[0].delta.content or "")
                    door.on_piece(pieces[-1])
        except openai.APIError as error:
            error.add_note("".join(pieces))
            raise
    return "".join(pieces)


def whole_async(door: Door, **asked: Any) -> str:
    """As `whole`, with the async client."""

    async def main() -> str:
        async with door.asynchronous() as client:
            answer = await client.chat.completions.create(**_with_messages(asked))
        return str(answer.choices[0].message.content)

    return asyncio.run(main())


def streamed_async(door: Door, **asked: Any) -> str:
    """As `streamed`, with the async client."""
    pieces: list[str] = []

    async def main() -> None:
        async with door.asynchronous() as client:
            stream = await client.chat.completions.create(**_with_messages(asked), stream=True)
            async for chunk in stream:
                pieces.append(chunk.choices[0].delta.content or "")
                door.on_piece(pieces[-1])

    try:
        asyncio.run(main())
    except openai.APIError as error:
        error.add_note("".join(pieces))
        raise
    return "".join(pieces)


def _with_messages(asked: dict[str, Any]) -> dict[str, Any]:
    return {"messages": MESSAGES, **asked}


Way = Callable[..., str]
WHOLE: tuple[Way, ...] = (whole, whole_async)
STREAMED: tuple[Way, ...] = (streamed, streamed_async)
WAYS = WHOLE + STREAMED
