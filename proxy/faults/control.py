"""Commanding the upstream over HTTP: `/faults` and `/requests`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from ..config.wording import did_you_mean, shown
from .answer import Answer, error_value, json_answer
from .incoming import Incoming
from .injector import Injector
from .script import MAX_FAULTS
from .settings import NAMES, SettingsError, changed
from .spec import Spec, SpecError, parse
from .words import tokens_of

_AFTER = re.compile(r"after=([0-9]{1,15})")


def control(request: Incoming, injector: Injector) -> Answer | None:
    """Carry out a call; None where the request is none."""
    methods = _CALLS.get(request.path)
    if methods is None:
        return None
    call = methods.get(request.method)
    if call is None:
        allowed = ", ".join(methods)
        return json_answer(_error(f"wanted one of the methods {allowed}"), 405, (b"Allow", allowed.encode()))
    try:
        return json_answer(call(request, injector))
    except (SpecError, SettingsError) as error:
        return json_answer(_error(str(error)), 400)


def _show_faults(request: Incoming, injector: Injector) -> object:
    script = injector.script
    in_force = script.current(injector.clock())
    return {
        "script": [str(spec) for spec in script.specs],
        "met": script.met,
        "position": script.position,
        "in_force": None if in_force is None else str(in_force),
        "counts": dict(injector.counts),
        "num_tokens": len(tokens_of(injector.settings.text)),
        **injector.settings.shown(),
    }


def _put_faults(request: Incoming, injector: Injector) -> object:
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise SpecError('got what is not JSON, wanted a list such as ["500,once", "cut:3"]') from None
    if isinstance(value, list):
        value = {"script": value}
    if not isinstance(value, dict):
        raise SpecError(f'got {shown(value)}, wanted a list of faults or {{"script": [...], "text": ...}}')
    for name in value:
        if name != "script" and name not in NAMES:
            raise SettingsError(f"got {shown(name)}{did_you_mean(name, ('script', *NAMES))}")
    specs = _specs(value.pop("script")) if "script" in value else None
    settings = changed(injector.settings, value)
    if specs is not None:
        injector.begin(specs)
    injector.settings = settings
    return _show_faults(request, injector)


def _specs(value: Any) -> list[Spec]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SpecError(f'script: got {shown(value)}, wanted a list of texts such as ["500,once", "cut:3"]')
    if len(value) > MAX_FAULTS:
        raise SpecError(f"script: got {len(value)} faults, wanted at most {MAX_FAULTS}")
    return [parse(each) for each in value]


def _delete_faults(request: Incoming, injector: Injector) -> object:
    injector.begin(())
    injector.settings = injector.first_settings
    return _show_faults(request, injector)


def _show_requests(request: Incoming, injector: Injector) -> object:
    after = _AFTER.fullmatch(request.query)
    if request.query and after is None:
        raise SettingsError(f"got the query {shown(request.query)}, wanted after=NUMBER or none")
    return injector.journal.shown(int(after[1]) if after else 0)


def _delete_requests(request: Incoming, injector: Injector) -> object:
    injector.journal.clear()
    return injector.journal.shown()


def _error(message: str) -> object:
    return error_value(message, "invalid_request_error")


_Call = Callable[[Incoming, Injector], object]
_CALLS: dict[str, dict[str, _Call]] = {
    "/faults": {"GET": _show_faults, "PUT": _put_faults, "DELETE": _delete_faults},
    "/requests": {"GET": _show_requests, "DELETE": _delete_requests},
}
