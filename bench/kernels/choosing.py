"""The configurations of a kernel: which one its launcher asks for, and every one that a sweep tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from .spec import Inputs, Spec

Config = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """A bucket with its configurations: the `used` one, the `default` where none was measured, and all to try."""

    bucket: str
    used: Config
    default: Config
    tries: tuple[Config, ...]


def choice(spec: Spec, inputs: Inputs) -> Choice:
    """Return the choice that the launcher has for these inputs, by running it.

    It watches `bucket`, which a kernel module calls with what its `default` and `candidates` take too, and `pick`.
    Raises: LookupError where the launcher asks for no bucket.
    """
    module, keys, used = spec.kernel, list[tuple[Any, ...]](), list[Config]()
    bucket, pick = module.bucket, module.pick

    def named(*key: Any) -> str:
        keys.append(key)
        return str(bucket(*key))

    def picked(kernel: str, bucket: str, default: Config) -> Config:
        used.append(pick(kernel, bucket, default))
        return used[-1]

    with mock.patch.multiple(module, bucket=named, pick=picked):
        spec.run(module, inputs)
    if not keys or not used:
        raise LookupError(f"expected {module.__name__} to pick a configuration for a bucket, it did not")
    default = dict(module.default(*keys[0]))
    others = [dict(config) for config in module.candidates(*keys[0])]
    tries = (default, *(config for config in others if config != default))
    return Choice(str(bucket(*keys[0])), dict(used[0]), default, tries)


@contextmanager
def chosen(spec: Spec, config: Config) -> Iterator[None]:
    """Make the kernel's launcher take that configuration."""
    module, pick = spec.kernel, spec.kernel.pick

    def always(kernel: str, bucket: str, default: Config) -> Config:
        return config if kernel == spec.name else dict(pick(kernel, bucket, default))

    with mock.patch.object(module, "pick", always):
        yield
