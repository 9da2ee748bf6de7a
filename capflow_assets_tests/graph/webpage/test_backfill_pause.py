"""How often the daemon looks at backfills is a setting, in Dagster's own place for it."""

from __future__ import annotations

import inspect

import pytest
from dagster._daemon import backfill, controller

from capflow_assets.errors import CapflowError
from capflow_assets.graph.webpage.daemon import BACKFILL_SECONDS, look_often


def test_the_pause_is_the_one_that_dagsters_loop_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    dagsters_own = controller.DEFAULT_DAEMON_INTERVAL_SECONDS
    monkeypatch.setattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS", dagsters_own)  # put back afterwards
    look_often("")
    assert dagsters_own == controller.DEFAULT_DAEMON_INTERVAL_SECONDS
    look_often("2.5")
    assert controller.DEFAULT_DAEMON_INTERVAL_SECONDS == 2.5
    loop = inspect.getsource(backfill.execute_backfill_iteration_loop)
    assert "from dagster._daemon.controller import DEFAULT_DAEMON_INTERVAL_SECONDS" in loop


@pytest.mark.parametrize("text", ["often", "0", "0.5", "-3", "nan", "inf"])
def test_a_pause_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(CapflowError, match=BACKFILL_SECONDS):
        look_often(text)
