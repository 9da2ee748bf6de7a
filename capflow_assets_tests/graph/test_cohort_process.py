"""Memory that runs out takes the process of one customer, not the run that goes on with the others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from capflow_assets.graph.cohort_process import MORE_WEIGHT, THREADS, WEIGHT, CohortProcess


@pytest.mark.skipif(not WEIGHT.exists(), reason="Linux alone weighs processes so")
def test_a_cohorts_process_goes_before_its_run() -> None:
    own = int(WEIGHT.read_text())
    process = CohortProcess()
    try:
        weight = Path(f"/proc/{process.pid}/oom_score_adj")
        until = time.monotonic() + 120
        while int(weight.read_text()) < MORE_WEIGHT and time.monotonic() < until:
            time.sleep(0.05)
        assert int(weight.read_text()) == max(own, MORE_WEIGHT)
    finally:
        process.end()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="Linux alone shows it so")
def test_linear_algebra_gets_its_share_of_the_cores_unless_somebody_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, other = THREADS
    monkeypatch.delenv(first, raising=False)
    monkeypatch.setenv(other, "7")
    process = CohortProcess(threads=3)
    try:
        environment = Path(f"/proc/{process.pid}/environ")
        until = time.monotonic() + 60
        # Linux shows nothing for a moment: the new program has begun, its variables are not in place yet.
        while not (content := environment.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        variables = content.split("\0")
        assert {f"{first}=3", f"{other}=7"} <= set(variables)
        assert first not in os.environ
    finally:
        process.end()
