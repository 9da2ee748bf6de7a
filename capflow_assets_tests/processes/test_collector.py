"""The collector rests meanwhile, and works again afterwards, whatever happens; a process may have it work less."""

from __future__ import annotations

import gc

import pytest

from capflow_assets.processes.collector import OBJECTS_BEFORE_A_LOOK, collect_seldom, paused


def break_while_paused() -> None:
    with paused():
        assert not gc.isenabled()
        raise ValueError("broken")


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_left_as_it_was(is_on: bool) -> None:
    (gc.enable if is_on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="broken"):
            break_while_paused()
        assert gc.isenabled() is is_on
    finally:
        gc.enable()


def test_it_looks_less_often_for_what_is_new_alone() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        collect_seldom()
        assert gc.get_threshold() == (OBJECTS_BEFORE_A_LOOK, 10, 10)
    finally:
        gc.set_threshold(*before)
