"""A plugin that says who asks."""

from __future__ import annotations

from .kind import Kind

KIND = Kind(
    does="Knows a caller by a shared secret",
    imports="""\
import hmac

from headgate.proxy.config.secrets import SecretRef
from headgate.proxy.exchange.exchange import Exchange
from headgate.proxy.hookspecs import Setup, hookimpl
from headgate.proxy.verdicts import Identity, Reject
from pydantic import BaseModel, ConfigDict, Field
""",
    config="""\
        secret: SecretRef = Field(description="What a caller has to show: `env:NAME` or `file:PATH`.")
        field: str = Field(default="x-secret", min_length=1, description="Name of the field that it stands in.")
""",
    options="""\
        allow_guests: bool = Field(default=False, description="Whether requests without the field are let in.")
""",
    hooks='''\
    def __init__(self, config: Config) -> None:
        self._field = config.field
        self._secret = config.secret.reveal().encode()
        self._name = "plugin_name"

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn under which name routes set options."""
        self._name = setup.name

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | None:
        """Say who asks; leave requests without the field to the next plugin."""
        fields = exchange.request.fields
        given = fields.get(self._field)
        if given is None:
            options = exchange.route.options.get(self._name)
            is_open = isinstance(options, Made.RouteOptions) and options.allow_guests
            return Identity("guest", "guests") if is_open else None
        if not hmac.compare_digest(given.encode("latin-1"), self._secret):
            return Reject("unauthenticated", detail="the secret is wrong")
        fields.remove(self._field)  # no service has to see it
        return Identity("shared", "default")
''',
    stages=("auth",),
    settings='{secret: "env:PLUGIN_NAME_SECRET"}',
    environment=(("PLUGIN_NAME_SECRET", "a secret of the tests"),),
    test_imports="""\
from headgate.plugins.testing import Fetched, StageRun, gateway_with, make_exchange, make_plugin, run_stage
from headgate.proxy.verdicts import Identity
""",
    tests="""\
def ask(*fields: tuple[str, str], **options: bool) -> StageRun:
    plugin = make_plugin(Made, {"secret": "env:PLUGIN_NAME_SECRET"}, name="plugin_name")
    set_here = {"plugin_name": Made.RouteOptions.model_validate(options)}
    return asyncio.run(run_stage(plugin, "auth", make_exchange(fields=fields, options=set_here)))


def test_the_secret_lets_in_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_NAME_SECRET", "open")
    assert ask(("X-Secret", "open")).answer == Identity("shared", "default")
    assert ask(("X-Secret", "opem")).answer.kind == "unauthenticated"
    assert ask().answer is None


def test_a_route_may_let_guests_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_NAME_SECRET", "open")
    assert ask(allow_guests=True).answer == Identity("guest", "guests")
    assert ask(("X-Secret", "wrong"), allow_guests=True).answer.kind == "unauthenticated"


def test_no_service_sees_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_NAME_SECRET", "open")

    async def main() -> tuple[Fetched, Fetched]:
        async with gateway_with({"plugin_name": Made}, CONFIG) as gate:
            return await gate.fetch(), await gate.fetch(fields={"X-Secret": "open"})

    refused, taken = asyncio.run(main())
    assert (refused.status, taken.status) == (401, 200)
    assert "x-secret" not in taken.json()["fields"]
""",
)
