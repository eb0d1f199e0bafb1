"""A client that asks for pages that many ask for."""

from __future__ import annotations

from itertools import cycle

from ..answers import Answer
from ..tier import PAGE_BYTES
from .chat import begun
from .open_user import OpenUser

NUM_PAGES = 20
_NUMBERS = cycle(range(NUM_PAGES))


class CachedUser(OpenUser):
    """Asks for one page after the other; what the cache said stands in `detail`."""

    kind = "cached"

    def ask(self) -> Answer:
        """Send one request and look at the answer."""
        response = self.client.get(f"/pages/{next(_NUMBERS)}", headers=self.headers)
        answer = begun(response)
        if answer.status:
            answer.body_bytes = len(response.content or b"")
            answer.is_whole = answer.body_bytes == PAGE_BYTES if answer.status == 200 else True
            answer.detail = response.headers.get("x-headgate-cache", "")
        return answer
