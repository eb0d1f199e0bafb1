"""What a worker does on a GPU, played on the CPU: run with TRITON_INTERPRET=1, as the kernels' other tests are.

Streams, events and graphs are stood in for; a graph calls what it holds. So every line is run before the day that
there is a GPU, on real tensors, with kernels that compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.kernels import ceilings, checks, on_gpu, rms_norm, timing
from bench.kernels.spec import Spec
from bench.kernels.work import Item
from bench.kernels.worker import done

CPU = torch.device("cpu")
SEED = 11


class Stream:
    def wait_stream(self, other: object) -> None:
        pass


class Event:
    """Each comes half a millisecond after the one before."""

    now_ms = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        Event.now_ms += 0.5
        self.at_ms = Event.now_ms

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return end.at_ms - self.at_ms


class Graph:
    num_replays = 0

    def replay(self) -> None:
        Graph.num_replays += 1


@contextmanager
def _nothing(*_: object) -> Iterator[None]:
    yield


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for torch.cuda. `is_sound` off: the next synchronisation fails, as after a bad access."""
    found = SimpleNamespace(is_sound=True)
    about = SimpleNamespace(
        name="a card", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30, L2_cache_size=50 << 10
    )

    def synchronize() -> None:
        if not found.is_sound:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    stood_in: dict[str, Any] = {
        "Stream": Stream,
        "Event": Event,
        "CUDAGraph": Graph,
        "stream": _nothing,
        "graph": _nothing,
        "current_stream": Stream,
        "synchronize": synchronize,
        "empty_cache": lambda: None,
        "is_available": lambda: True,
        "mem_get_info": lambda: (1 << 30, 80 << 30),
        "memory_allocated": lambda: 0,
        "get_device_properties": lambda index: about,
    }
    for name, value in stood_in.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(on_gpu, "CUDA", CPU)
    monkeypatch.setattr(timing, "REPLAY_US", 2.0)
    monkeypatch.setattr(timing, "MIN_SAMPLES", 2)
    monkeypatch.setattr(timing, "MAX_SAMPLES", 3)
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that the interpreter can do; rms_norm alone."""
    shape = rms_norm.shapes()[0]
    make = rms_norm._maker(3, 48)
    monkeypatch.setattr(rms_norm, "shapes", lambda: [replace(shape, make=make, dtype=torch.float32)])


def answer(item: Item) -> Any:
    return done(item, on_gpu.DOES, on_gpu.is_sound)


def test_it_says_what_machine_it_is() -> None:
    found = answer(Item("machine")).found
    assert (found["name"], found["capability"], found["num_sms"]) == ("a card", "9.0", 132)
    assert found["torch"] == torch.__version__


def test_a_kernel_is_checked_on_inputs_of_the_seed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item("check", "rms_norm", detail="float32", seed=SEED)
    found = answer(item).found
    assert found["is_right"] and found["num_cases"] == 11 and found["error"] > 0
    assert answer(item).found["error"] == found["error"]
    assert answer(replace(item, seed=12)).found["error"] != found["error"]
    monkeypatch.setattr(checks, "_same", lambda first, second: False)
    wrong = answer(item).found
    assert not wrong["is_right"] and wrong["note"] == "two runs differ"


def test_a_shape_is_timed_over_several_inputs() -> None:
    before = Graph.num_replays
    found = answer(Item("time", "rms_norm", seed=SEED)).found
    assert found["method"] == "graph" and Graph.num_replays > before
    assert found["us"] > 0 and found["sets"] > 1


def test_a_result_is_held_against_the_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item("twin", "rms_norm", seed=SEED)
    found = answer(item).found
    assert found["difference"] < 1e-6 and not found["is_far"]
    reference = Spec("rms_norm").reference
    right: Callable[..., Any] = reference.rms_norm
    for factor, told in ((1.1, pytest.approx(0.09, abs=0.01)), (float("nan"), "not finite")):
        monkeypatch.setattr(reference, "rms_norm", lambda f=factor, **inputs: [x * f for x in right(**inputs)])
        assert answer(item).found == {"difference": told, "is_far": True}


def test_a_result_that_is_no_number_is_wrong_whatever_the_twin_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (Spec("rms_norm").kernel, Spec("rms_norm").reference):
        monkeypatch.setattr(module, "rms_norm", lambda **inputs: [inputs["x"] * float("nan")] * 2)
    assert answer(Item("twin", "rms_norm")).found == {"difference": "not finite", "is_far": True}


def test_what_cannot_be_captured_is_timed_call_by_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(graph: Graph) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuses)
    found = answer(Item("time", "rms_norm")).found
    assert (found["method"], found["us"]) == ("calls", 500.0)


def test_peers_are_timed_alike() -> None:
    found = answer(Item("peer", "rms_norm", detail="torch add + rms_norm")).found
    assert found["method"] == "graph" and found["sets"] > 1


def test_an_error_is_an_answer_and_one_that_spoils_the_card_is_fatal(
    card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**inputs: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(Spec("rms_norm").kernel, "rms_norm", fails)
    found = answer(Item("time", "rms_norm"))
    assert found.failure == "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert not found.is_fatal and "fails" in found.trace
    card.is_sound = False
    assert answer(Item("time", "rms_norm")).is_fatal


def test_a_sweep_times_every_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Spec("rms_norm").kernel
    plain: Callable[..., Any] = kernel.rms_norm
    used: list[int] = []

    def watched(**inputs: Any) -> Any:
        config = kernel.pick("rms_norm", "", {"num_warps": 0})
        used.append(config["num_warps"])
        if config["num_warps"] == 8:
            raise RuntimeError("out of resource: shared memory")
        y, total = plain(**inputs)
        return (y * 2 if config["num_warps"] == 4 else y), total

    monkeypatch.setattr(kernel, "rms_norm", watched)
    found = answer(Item("sweep", "rms_norm", seed=SEED)).found
    assert found["bucket"] == "width 64" and found["default"] == {"num_warps": 1} and found["left_out"] == 0
    tried = {one["config"]["num_warps"]: one for one in found["tried"]}
    assert set(tried) == {1, 2, 4, 8, 16} <= set(used)
    assert all(tried[warps]["us"] > 0 for warps in (1, 2, 16))
    assert "differs from the default" in tried[4]["failure"] and "out of resource" in tried[8]["failure"]
    assert kernel.pick("rms_norm", "", {"num_warps": 0}) == {"num_warps": 0}


def test_a_sweep_says_what_it_had_no_time_for() -> None:
    found = answer(Item("sweep", "rms_norm", seconds=0.0)).found
    assert found["tried"] == [] and found["left_out"] == 5


def test_small_cases_alone_go_to_a_memory_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item("touch", "rms_norm", detail="float16", seed=SEED)
    assert answer(item).found == {"num_cases": 11}
    monkeypatch.setattr(on_gpu, "SMALL", 3 * 7 * 2 + 7)
    assert answer(item).found == {"num_cases": 2}  # 1 x 1, 3 x 7; what has no rows has a weight


def test_ceilings_are_measured_and_a_product_that_torch_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: dict[str, Callable[..., torch.Tensor]] = {name: getattr(torch, name) for name in ("empty", "randn", "ones")}

    def on_cpu(name: str) -> Callable[..., torch.Tensor]:
        return lambda *shape, device, **others: plain[name](*shape, **others)

    for name in plain:
        monkeypatch.setattr(torch, name, on_cpu(name))
    monkeypatch.setattr(ceilings, "COPY_BYTES", 1 << 10)
    monkeypatch.setattr(ceilings, "SIZE", 32)
    found = answer(Item("ceilings")).found
    assert {"copy", "bf16"} <= set(found) and all(value > 0 for value in found.values())

    def lacking(*arguments: object, **others: object) -> None:
        raise RuntimeError("not for this card")

    monkeypatch.setattr(torch, "_scaled_mm", lacking)
    assert set(answer(Item("ceilings")).found) == {"copy", "bf16"}
