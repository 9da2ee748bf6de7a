"""Kills of everything that a night works with, a few in every round of tests and a hundred over a simulated week."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets_doubles.sql_servers import Server, postgres
from capflow_assets_tests.graph.week import KINDS, week
from capflow_assets_tests.graph.week_verdict import judge_deliveries, judge_last
from capflow_assets_tests.reliability import record

KILLS = int(os.environ.get("CAPFLOW_NIGHT_KILLS", "100"))
SEED = int(os.environ.get("CAPFLOW_FUZZ_SEED", "18"))


@pytest.fixture
def database() -> Iterator[Server]:
    with postgres() as server:
        yield server


@pytest.mark.timeout(1800)  # on a machine that does much else
def test_a_night_in_which_its_run_its_daemon_and_its_destination_die_loses_nothing(
    tmp_path: Path, database: Server
) -> None:
    with week(tmp_path, ("ann",), database, seed=3) as nights:
        nights.night("run", "webhook", "daemon")
        judge_deliveries(nights)
        assert nights.figures.is_clean, nights.figures


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_a_week_of_nights_with_a_hundred_kills_loses_and_doubles_nothing(tmp_path: Path, database: Server) -> None:
    with week(tmp_path, ("ann", "bob", "cid"), database, seed=SEED) as nights:
        while (left := KILLS - sum(nights.figures.kills.values())) > 0:
            nights.night(*nights.random.choices(KINDS, k=min(left, 17)))
        nights.night()
        judge_last(nights)
    record("kills over nights", seed=SEED, **nights.figures.plain())
    assert nights.figures.is_clean, nights.figures
