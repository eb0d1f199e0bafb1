"""A route without some of its plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from ..exchange.exchange import Exchange
from ..snapshot import RouteProgram, Snapshot
from ..stages import Chain, Hook
from ..verdicts import Route

Stage = str
_STAND_IN = "*"  # no plugin is called so


def names_in(program: RouteProgram) -> tuple[str, ...]:
    """Return the plugins of a route, each once, in the order in which they are first asked."""
    return tuple(dict.fromkeys(name for chain in program.chains.values() for name in chain.names))


def with_program(snapshot: Snapshot, index: int, program: RouteProgram) -> Snapshot:
    """Return the snapshot with another program of one route, and without any exchange that is timed."""
    programs = (*snapshot.programs[:index], program, *snapshot.programs[index + 1 :])
    parts = snapshot.table, snapshot.clusters, snapshot.instances, snapshot.models
    return Snapshot(snapshot.config, snapshot.version, programs, *parts)


def without(program: RouteProgram, names: Collection[str], seen: Exchange) -> RouteProgram:
    """Return a route's program without some plugins.

    What they have found out is needed further on: who asks and where to is said, behind those that are left, as it was
    in the exchange `seen`, which had them all. So the price of a plugin is what it takes to find that out.
    """
    chains = {stage: _without(chain, names) for stage, chain in program.chains.items()}
    if seen.identity is not None:
        chains["auth"] = _said(chains["auth"], program.chains["auth"], seen.identity)
    if seen.groups is not program.view.groups:
        chains["route"] = _said(chains["route"], program.chains["route"], Route(seen.groups, seen.model))
    return replace(program, chains=chains)


def _without(chain: Chain, names: Collection[str]) -> Chain:
    return Chain(chain.stage, tuple(hook for hook in chain.hooks if hook.plugin not in names))


def _said(chain: Chain, whole: Chain, answer: object) -> Chain:
    """Return a chain that ends by an answer, where hooks of the whole one are left out."""
    if len(chain.hooks) == len(whole.hooks):
        return chain
    return Chain(chain.stage, (*chain.hooks, Hook(_STAND_IN, _says(answer), False)))


def _says(answer: object) -> Callable[..., Any]:
    def function(exchange: Exchange) -> object:
        return answer

    return function
