"""Every kernel compiles for Hopper at the sizes of served models: no spills, fits, and uses what it is meant to."""

from __future__ import annotations

import pytest

from bench.kernels import NAMES
from bench.kernels.compile_only import MAX_SHARED_BYTES, CompileOnly, activate, compiled
from bench.kernels.spec import Spec


@pytest.fixture(scope="module")
def driver() -> CompileOnly:
    return activate()


@pytest.mark.parametrize(("name", "shape"), [(n, shape.name) for n in NAMES for shape in Spec(n).shapes()])
def test_it_compiles_without_spills_and_fits(name: str, shape: str, driver: CompileOnly) -> None:
    spec = Spec(name)
    (meant,) = [one for one in spec.shapes() if one.name == shape]
    made = compiled(driver, spec, meant)
    assert made
    for kernel in made:
        assert kernel.num_spilled_bytes == 0, kernel
        assert kernel.num_shared_bytes <= MAX_SHARED_BYTES, kernel
        assert meant.opcodes.get(kernel.name, frozenset()) <= kernel.opcodes, kernel
    missing = meant.opcodes.keys() - {kernel.name for kernel in made}
    assert not missing, f"{missing} did not run"
