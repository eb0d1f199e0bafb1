"""Routes by the body's `model`, and lists the models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ..proxy.exchange.exchange import Exchange
from ..proxy.exchange.fields import Fields
from ..proxy.exchange.message import Response
from ..proxy.hookspecs import ModelInfo, Setup, hookimpl
from ..proxy.verdicts import Reject, Route

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_MODELS_PATH = re.compile(r"(?:/.*?)??/models/?(?:(?<=/)(?P<name>.+?)/?)?")


class ModelRoute:
    """Chooses the targets that `models` gives for the model a request names; aliases count as the model itself.

    As an `aggregate` plugin it answers `GET …/models` and `GET …/models/NAME` with what the identity may use.
    """

    class Config(BaseModel):
        """Settings of the plugin."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        default: str | None = Field(
            default=None, description="Model of requests that name none; without it such requests are refused."
        )

    def __init__(self, config: Config) -> None:
        self._default = config.default
        self._models: Mapping[str, ModelInfo] = {}
        self._canonical: dict[str, str] = {}
        self._routes: dict[str, Route] = {}  # by model, as made last

    @hookimpl
    def headgate_configure(self, setup: Setup) -> None:
        """Learn the models. Raises: ValueError for a default that is none of them."""
        canonical = {name: name for name in setup.models}
        canonical |= {alias: name for name, info in setup.models.items() for alias in info.aliases}
        if self._default is not None and self._default not in canonical:
            raise ValueError(f"expected `default` to be one of {', '.join(sorted(canonical))}, got `{self._default}`")
        self._models, self._canonical, self._routes = setup.models, canonical, {}

    @hookimpl
    def headgate_route(self, exchange: Exchange) -> Route | Reject | None:
        """Give the targets of the model that was asked for; nothing to say where nobody has to name one."""
        asked = exchange.model
        if asked is None:
            request = exchange.request
            if request.body.is_empty and (exchange.groups or request.method not in _WITH_BODY):
                return None
            if self._default is None:
                return Reject("bad_body", "the body must name a `model`")
            asked = self._default
        name = self._canonical.get(asked)
        groups = exchange.models.get(name) if name is not None else None
        # In the same words, whether it is unknown or not for this identity: which models exist is not told.
        if name is None or groups is None or not _may_use(exchange, name):
            return Reject("model_not_found", f"the model `{asked[:200]}` does not exist or may not be used")
        route = self._routes.get(name)
        if route is None or route.groups is not groups:
            route = self._routes[name] = Route(groups, name)
        return route

    @hookimpl
    def headgate_aggregate(self, exchange: Exchange) -> Response | Reject | None:
        """Answer the list of models, or one of them."""
        found = _MODELS_PATH.fullmatch(exchange.request.path)
        if exchange.request.method not in ("GET", "HEAD") or found is None:
            return None
        if found["name"] is None:
            entries = [self._entry(name) for name in self._usable(exchange)]
            return _json({"object": "list", "data": entries})
        name = self._canonical.get(unquote(found["name"]))
        if name is None or name not in exchange.models or not _may_use(exchange, name):
            return Reject("model_not_found")
        return _json(self._entry(name))

    def _entry(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": 0, "owned_by": self._models[name].owned_by}

    def _usable(self, exchange: Exchange) -> list[str]:
        return [name for name in self._models if _may_use(exchange, name)]


def _may_use(exchange: Exchange, name: str) -> bool:
    identity = exchange.identity
    return identity is None or identity.models is None or identity.may_use_model(name)


def _json(value: object) -> Response:
    body = orjson.dumps(value)
    return Response(200, Fields([(b"Content-Type", b"application/json")]), body, len(body))
