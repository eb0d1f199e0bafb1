"""A kernel with a bug in it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from .spec import Plant, Spec


@contextmanager
def planted(spec: Spec, plant: Plant) -> Iterator[ModuleType]:
    """Give the kernel's module with the bug planted. Triton reads a function's source, so it has to be a file."""
    path = Path(str(spec.kernel.__file__))
    source = path.read_text()
    assert source.count(plant.old) == 1, f"{plant.name}: expected `{plant.old}` once in {path.name}"
    name = f"headgate.inference.kernels.planted_{spec.name}"
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / path.name
        changed.write_text(source.replace(plant.old, plant.new))
        found = spec_from_file_location(name, changed)
        assert found is not None and found.loader is not None
        module = module_from_spec(found)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
            yield module
        finally:
            del sys.modules[name]
