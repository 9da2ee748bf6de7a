"""A planned night in figures that can be counted by hand, and what would help."""

from __future__ import annotations

import io
from math import inf

from PIL import Image

from capflow_assets.nights.job_costs import Cost, History
from capflow_assets.nights.jobs import SCORING, TABLES, Pool
from capflow_assets.nights.plan import Planned, arrivals_of, helps, plan_of
from capflow_assets.nights.plan_plot import figure
from capflow_assets.nights.simulation import Arrival, simulate
from capflow_assets.nights.windows import Night
from capflow_assets.pages.plots import png

POOLS = {TABLES: "local", SCORING: "local"}
HISTORY = History(kinds={TABLES: Cost(100, 2, "assumed"), SCORING: Cost(50, 1, "assumed")}, startup_seconds=10)


def night(customers: int, deadline: float = inf) -> list[Arrival]:
    return arrivals_of([Planned(f"c{n}", "", Night("2024-06-01", 1000, deadline)) for n in range(customers)], POOLS)


def test_the_figures_of_a_night_of_two_customers_one_after_another() -> None:
    """110 s of tables, twice, then 60 s of scoring, twice."""
    plan = plan_of(night(2), {"local": Pool(1)}, HISTORY)
    assert (plan.customers, plan.jobs, plan.runs, plan.assumed) == (2, 4, 4, 2)
    assert (plan.begins, plan.ends, plan.makespan) == (1000, 1340, 340)
    assert (plan.work_seconds, plan.startup_seconds) == (300, 40)
    assert plan.startup_share == 40 / 340
    assert (plan.most_waiting, plan.peak_memory_gib) == (1, 2)
    assert (plan.late, plan.never) == ({}, {})


def test_who_is_late_and_what_would_help() -> None:
    plan = plan_of(night(2, deadline=1300), {"local": Pool(1)}, HISTORY)
    assert sum(seconds for seconds in plan.late.values()) == 40
    assert {change.change for change in helps(night(2, 1300), {"local": Pool(1)}, HISTORY)} == {
        "one more run at once",
        "an hour earlier",
    }
    assert helps(night(1), {"local": Pool(1)}, HISTORY) == [], "one after another, it can only be as long as it is"


def test_a_night_that_would_take_years_is_planned_all_the_same() -> None:
    year = 365 * 86_400.0
    slow = History(kinds={TABLES: Cost(year, 2), SCORING: Cost(year, 1)}, startup_seconds=0)
    assert plan_of(night(2), {"local": Pool(1)}, slow).makespan == 4 * year


def test_what_can_never_run_has_its_reason_and_more_memory_helps() -> None:
    small = {"local": Pool(1, 1.5)}
    plan = plan_of(night(1), small, HISTORY)
    assert plan.never == {"c0": "it needs 2.0 GiB and the pool local has 1.5"}
    assert [change.change for change in helps(night(1), small, HISTORY)] == ["twice the memory"]
    assert plan_of(night(1), {"local": Pool(0)}, HISTORY).never == {"c0": "the pool local has no capacity"}
    assert plan_of([], {"local": Pool(1)}, HISTORY).makespan == 0


def test_scoring_begins_after_its_own_tables_and_decisions_fall_on_ticks() -> None:
    ran = simulate(night(1), {"local": Pool(4)}, HISTORY, tick_seconds=30).ran
    assert [(run.job.kind, run.began, run.ended) for run in ran] == [(TABLES, 1020, 1130), (SCORING, 1140, 1200)]


def test_what_a_job_takes_may_differ_from_what_it_costs() -> None:
    ran = simulate(night(1), {"local": Pool(1)}, HISTORY, took=lambda job: 7.0).ran
    assert [run.ended - run.began for run in ran] == [17, 17]


def test_the_picture_is_small_and_opens() -> None:
    content = png(figure(plan_of(night(20, 2000), {"local": Pool(2, 8)}, HISTORY)))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width > 300
    assert len(content) < 40_000
