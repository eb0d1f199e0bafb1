"""A plugin that answers from memory."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Keeps a few small answers, each for its max-age",
    imports="""\
import re
from collections import OrderedDict

from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Hit, Miss
from pydantic import BaseModel, ConfigDict, Field

Key = tuple[str | None, str, str, str]
_MAX_AGE = re.compile(r"(?:^|[,\\s])max-age=(\\d{1,9})(?:[,\\s]|$)")
_FORBIDDING = re.compile(r"no-store|no-cache|private")
""",
    config="""\
        max_entries: int = Field(default=1000, ge=1, le=1_000_000, description="Answers kept; the oldest goes first.")
        max_entry_bytes: int = Field(default=65_536, ge=1, description="The largest body that is kept.")
""",
    options="""\
        enabled: bool = Field(default=True, description="Whether answers of this route are kept.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self.max_entries = config.max_entries
        self.max_entry_bytes = config.max_entry_bytes
        self.kept: OrderedDict[Key, tuple[float, Fields, bytes]] = OrderedDict()
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_cache(self, exchange: Exchange) -> Hit | Miss | None:
        """Answer a GET from memory, or have its answer kept."""
        request, identity = exchange.request, exchange.identity
        options = exchange.route.options.get(self._name)
        is_off = isinstance(options, Made.RouteOptions) and not options.enabled
        if is_off or request.method != "GET" or "authorization" in request.fields or "range" in request.fields:
            return None
        # Nothing of one tenant is for another.
        key = (identity.tenant if identity is not None else None, exchange.route.name, request.host, request.target)
        found = self.kept.get(key)
        if found is None or found[0] <= exchange.now():
            return Miss(Filling(self, key, exchange))
        return Hit(Response(200, found[1].copy(), found[2]))

    def keep(self, key: Key, until: float, fields: Fields, body: bytes) -> None:
        """Keep an answer; the oldest one gives way."""
        self.kept.pop(key, None)
        while len(self.kept) >= self.max_entries:
            self.kept.popitem(last=False)
        self.kept[key] = (until, fields, body)


class Filling:
    """Sees an answer pass by. Nothing is kept before it was whole."""

    def __init__(self, cache: Made, key: Key, exchange: Exchange) -> None:
        self._cache = cache
        self._key = key
        self._exchange = exchange
        self._fields = Fields()
        self._until = 0.0
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def begin(self, response: Response) -> bool:
        """See the head; say whether the answer may be kept."""
        control = (response.fields.get("cache-control") or "").lower()
        age = _MAX_AGE.search(control)
        is_bare = "vary" not in response.fields and "set-cookie" not in response.fields
        if response.status != 200 or age is None or _FORBIDDING.search(control) or not is_bare:
            return False
        self._fields = response.fields.copy()
        self._until = self._exchange.now() + int(age[1])
        return True

    def write(self, piece: bytes) -> bool:
        """Take a piece, as long as the whole is not too large."""
        self._pieces.append(piece)
        self._size_bytes += len(piece)
        return self._size_bytes <= self._cache.max_entry_bytes

    def commit(self) -> None:
        """Keep it: it was whole."""
        self._cache.keep(self._key, self._until, self._fields, b"".join(self._pieces))

    def discard(self) -> None:
        """Let it go."""
''',
    stages=("cache",),
    settings="{max_entries: 1000}",
    test_imports="""\
from headgate.plugins.testing import Fetched, Sent, gateway_with, make_plugin
from headgate.plugins.testing.laws import CacheMachine
from headgate.proxy.exchange.fields import Fields
from headgate.proxy.exchange.message import Response
""",
    tests='''\
class Laws(CacheMachine):
    """What any cache has to keep."""

    max_used = 2

    def make(self) -> Made:
        return make_plugin(Made, {"max_entries": 2}, name="plugin_name")

    def used(self) -> float:
        return len(self.plugin.kept)


Laws.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestLaws = Laws.TestCase


def origin(sent: Sent) -> Response:
    return Response(200, Fields([(b"Cache-Control", b"max-age=60")]), sent.target.encode())


def test_a_second_request_is_answered_from_memory() -> None:
    async def main() -> tuple[list[Fetched], int]:
        async with gateway_with({"plugin_name": Made}, CONFIG, origin=origin) as gate:
            return [await gate.fetch(target=target) for target in ("/a", "/a", "/b")], len(gate.sent)

    answers, num_sent = asyncio.run(main())
    assert [answer.body for answer in answers] == [b"/a", b"/a", b"/b"]
    assert num_sent == 2
''',
)
