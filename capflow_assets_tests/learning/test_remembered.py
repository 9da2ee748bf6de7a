"""What is kept of a frame goes with it, and is no other frame's."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.remembered import remembered


def counting() -> tuple[list[int], object]:
    calls: list[int] = []

    @remembered
    def total(frame: pd.DataFrame, times: int = 1) -> float:
        calls.append(len(frame))
        return float(frame["x"].sum()) * times

    return calls, total


def test_the_same_object_is_looked_at_once() -> None:
    calls, total = counting()
    frame = pd.DataFrame({"x": [1, 2]})
    assert [total(frame), total(frame), total(frame, times=2), total(frame, times=2)] == [3.0, 3.0, 6.0, 6.0]
    assert len(calls) == 2


def test_an_equal_frame_is_another_one() -> None:
    calls, total = counting()
    first, second = pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [1, 2]})
    assert total(first) == total(second)
    assert len(calls) == 2


@pytest.mark.usefixtures("light_heap")
def test_a_frame_at_the_place_of_one_that_is_gone_is_another_one() -> None:
    calls, total = counting()
    for value in range(30):
        frame = pd.DataFrame({"x": np.full(3, value)})
        assert total(frame) == 3.0 * value
        del frame
        gc.collect()
    assert len(calls) == 30


def test_few_are_kept() -> None:
    calls, total = counting()
    frames = [pd.DataFrame({"x": [value]}) for value in range(3)]
    for frame in (*frames, frames[0]):
        total(frame)
    assert len(calls) == 4


def test_what_was_worked_out_goes_with_its_frame() -> None:
    """Else the largest customer's would stay for as long as the process lives."""
    doubled = remembered(lambda frame: frame * 2)
    frame = pd.DataFrame({"x": [1, 2]})
    result = weakref.ref(doubled(frame))
    gc.collect()
    assert result() is not None
    del frame
    gc.collect()
    assert result() is None
