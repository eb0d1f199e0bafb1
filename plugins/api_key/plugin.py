"""The plugin `api_key`: who asks, by an API key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, model_validator

from ...ext.slots import SlotTable
from ...proxy.config.files import ReadableFile
from ...proxy.config.header_edits import FieldName
from ...proxy.config.secrets import SecretRef
from ...proxy.config.section import Section
from ...proxy.config.wording import FieldError
from ...proxy.exchange.exchange import Exchange
from ...proxy.exchange.fields import Pair
from ...proxy.hookspecs import Setup, hookimpl
from ...proxy.key_format import PREFIX, Digester, is_well_formed
from ...proxy.verdicts import Identity, Reject, Reservation
from .key_entry import KeyEntry, Scope, check_distinct
from .key_source import POLL_S, KeySource
from .keyring import Credential
from .parallel import take_slot

_MIN_PEPPER_BYTES = 16
_MAX_KEY_BYTES = 512
_PREFIX = PREFIX.encode()
_AUTHORIZATION = b"authorization"
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="headgate"')  # RFC 6750 §3: at least one parameter


class ApiKeyOptions(Section):
    """What a route may set."""

    scopes: tuple[Scope, ...] = Field(default=(), description="Scopes that a key needs here, all of them.")


class ApiKeyConfig(Section):
    """Settings."""

    pepper: SecretRef = Field(description="Secret under which keys are digested: `env:NAME` or `file:PATH`.")
    keys_file: ReadableFile | None = Field(
        default=None, description="File of keys, YAML or JSON; looked at once a second."
    )
    inline: tuple[KeyEntry, ...] = Field(
        default=(), description="Keys that stand here, of the same shape as in a file."
    )
    headers: tuple[FieldName, ...] = Field(
        default=("authorization", "x-api-key"),
        min_length=1,
        description="Request fields that may hold the key; in Authorization it follows the word Bearer.",
    )
    unknown: Literal["reject", "next"] = Field(
        default="reject",
        description="Whether a request without a key known here is refused or left to the next auth plugin.",
    )

    @model_validator(mode="after")
    def _check(self) -> ApiKeyConfig:
        if self.keys_file is None and not self.inline:
            raise FieldError((), "got no keys, wanted `keys_file` or `inline`")
        if len(self.pepper.reveal().encode()) < _MIN_PEPPER_BYTES:
            raise FieldError(("pepper",), f"the pepper is too short, wanted at least {_MIN_PEPPER_BYTES} bytes of it")
        check_distinct(self.inline, "inline")
        return self


class ApiKey:
    """Look a key up by its digest, hide it from upstreams, bound its parallel requests.

    What the client is told does not depend on why a key is refused; the log's detail does.
    """

    Config = ApiKeyConfig
    RouteOptions = ApiKeyOptions

    def __init__(
        self, config: ApiKeyConfig, now: Callable[[], datetime] = lambda: datetime.now(UTC), poll_s: float = POLL_S
    ) -> None:
        self._now = now
        self._keys = KeySource(config.inline, config.keys_file, now, poll_s)
        self._is_watched = False
        self._digest = Digester(config.pepper.reveal()).digest
        self._carriers = frozenset(name.encode("latin-1") for name in config.headers)
        self._lengths = frozenset(map(len, self._carriers))
        self._is_last = config.unknown == "reject"
        self._missing = f"no key in {', '.join(config.headers)}"
        self._slots: SlotTable
        self._name = "api_key"

    def close(self) -> None:
        """Stop looking at the keys file."""
        self._keys.close()

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Take the name, and what counts requests under way: those of a predecessor's keys count on in it."""
        self._name = setup.name
        self._slots = setup.slots

    @hookimpl
    def headgate_auth(self, exchange: Exchange) -> Identity | Reject | None:
        """Say whose key the request carries, and take the key out of it."""
        if not self._is_watched:
            self._is_watched = True
            self._keys.watch()
        fields = exchange.request.fields
        carriers, keys = self._presented(fields.raw)
        if len(keys) > 1 and keys.count(keys[0]) < len(keys):
            return _refused("two different keys in one request")
        credential = self._judge(keys[0]) if keys else self._unknown(self._missing)
        if not isinstance(credential, Credential):
            return credential
        # Whoever the request goes to next, the key is not for them.
        fields.raw = fields.raw.copy()
        for pair in carriers:
            fields.raw.remove(pair)
        return self._admitted(exchange, credential)

    @hookimpl
    def headgate_ratelimit(self, exchange: Exchange) -> Reject | Reservation | None:
        """Hold the key to its number of parallel requests."""
        owner, credential = exchange.state.get(ApiKey, (None, None))
        if owner is not self or credential.max_parallel is None:
            return None
        key_id = credential.identity.key_id
        slot = take_slot(self._slots, (self._name, key_id), credential.max_parallel)
        if slot is None:
            return Reject("too_many_parallel", detail=f"key {key_id}: {credential.max_parallel} run already")
        return Reservation(settle=slot.release)

    def _presented(self, raw: list[Pair]) -> tuple[list[Pair], list[bytes]]:
        """Return the fields that carry keys, and the key in each. Cost: one walk over the fields."""
        carriers: list[Pair] = []
        keys: list[bytes] = []
        for pair in raw:
            name, value = pair
            if len(name) not in self._lengths or (name := name.lower()) not in self._carriers:
                continue
            if name == _AUTHORIZATION:
                scheme, _, value = value.partition(b" ")
                if scheme.lower() != b"bearer":
                    continue  # another scheme is not for us
            carriers.append(pair)
            keys.append(value.strip(b" \t"))
        return carriers, keys

    def _judge(self, key: bytes) -> Credential | Reject | None:
        # Under a secret pepper a digest tells nothing of how near a guess came, however long the look-up takes.
        credential = self._keys.keyring.get(self._digest(key)) if len(key) <= _MAX_KEY_BYTES else None
        return credential if credential is not None and credential.is_settled else self._examine(key, credential)

    def _examine(self, key: bytes, credential: Credential | None) -> Credential | Reject | None:
        """Look at what does not change by the time or the request only until it has been found to be good."""
        if key.startswith(_PREFIX) and not is_well_formed(key):
            return _refused("the key is mistyped: its form or checksum is wrong")
        if credential is None:
            return self._unknown("no key has this digest")
        if credential.is_conditional:
            objection = credential.objection(self._now())
            return credential if objection is None else _refused(objection)
        credential.is_settled = True
        return credential

    def _unknown(self, detail: str) -> Reject | None:
        return _refused(detail) if self._is_last else None

    def _admitted(self, exchange: Exchange, credential: Credential) -> Identity | Reject:
        identity = credential.identity
        options: ApiKeyOptions | None = exchange.route.options.get(self._name)
        if options is not None and not identity.scopes.issuperset(options.scopes):
            wanted = " ".join(options.scopes)
            challenge = f'{_CHALLENGE[1]}, error="insufficient_scope", scope="{wanted}"'  # RFC 6750 §3.1
            detail = f"key {identity.key_id} lacks a scope of: {wanted}"
            return Reject("forbidden", detail=detail, fields=((_CHALLENGE[0], challenge),))
        exchange.state[ApiKey] = (self, credential)
        return identity


def _refused(detail: str) -> Reject:
    return Reject("unauthenticated", detail=detail, fields=(_CHALLENGE,))
