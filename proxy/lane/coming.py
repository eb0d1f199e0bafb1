"""The body of an answer before it is there, for stages to see."""

from __future__ import annotations


class Coming:
    """Stands for a body that is passed on as it comes. Stages see it, and may put another one in its place."""

    def __aiter__(self) -> Coming:
        return self

    async def __anext__(self) -> bytes:
        """Raise: nobody but the lane reads it."""
        raise RuntimeError("expected the body of an answer to be left to the gateway, which passes it on")


COMING = Coming()
