"""The bound on requests inside the server."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.inference.admission import Admission, Refused


@pytest.mark.parametrize("max_waiting", [0, 1, 64])
def test_one_runs_and_so_many_wait(max_waiting: int) -> None:
    admission = Admission(max_waiting)
    with ExitStack() as inside:
        for _ in range(max_waiting + 1):
            inside.enter_context(admission.enter())
        with pytest.raises(Refused, match=f"{max_waiting} requests are waiting already") as caught, admission.enter():
            pass
        assert caught.value.code == "queue_full"
        assert admission.active_count == max_waiting + 1
    with admission.enter():
        assert admission.active_count == 1


def test_place_is_given_back_on_failure() -> None:
    admission = Admission(0)
    for _ in range(3):
        with pytest.raises(KeyError), admission.enter():
            raise KeyError
    assert admission.active_count == 0


@given(seconds=st.lists(st.floats(0, 1e6), max_size=20))
def test_retry_after_is_a_sensible_number_of_seconds(seconds: list[float]) -> None:
    admission = Admission(2)
    for value in seconds:
        admission.observe(value)
    with admission.enter(), admission.enter(), admission.enter():
        with pytest.raises(Refused) as caught, admission.enter():
            pass
        assert 1 <= caught.value.retry_after_s <= 60


def test_retry_after_grows_with_the_time_a_request_takes() -> None:
    waits = []
    for service_s in (0.1, 10.0):
        admission = Admission(2)
        for _ in range(50):
            admission.observe(service_s)
        with admission.enter(), admission.enter(), admission.enter():
            with pytest.raises(Refused) as caught, admission.enter():
                pass
            waits.append(caught.value.retry_after_s)
    assert waits == [1, 15]


def test_draining_refuses_and_waits_for_those_inside() -> None:
    async def main() -> None:
        admission = Admission(4)
        with admission.enter():
            admission.is_draining = True
            with pytest.raises(Refused) as caught, admission.enter():
                pass
            assert caught.value.code == "draining"
            idle = asyncio.ensure_future(admission.wait_idle())
            await asyncio.sleep(0)
            assert not idle.done()
        await asyncio.wait_for(idle, 5)

    asyncio.run(main())
