"""The collector rests meanwhile, and works again afterwards, whatever happens."""

from __future__ import annotations

import gc

import pytest

from capflow_assets.processes.collector import paused


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
