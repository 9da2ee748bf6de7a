"""Costs from past runs: each customer's own, else its vertical's, else everybody's; and usage that decays."""

from __future__ import annotations

from capflow_assets.nights.job_costs import ASSUMED_SECONDS, DAY, PastRun, history_of
from capflow_assets.nights.jobs import Job

NOW = 10 * DAY


def cost(runs: list[PastRun], customer: str, vertical: str = "", kind: str = "tables") -> tuple[float, float, str]:
    return tuple(history_of(runs, NOW).cost(Job("x", customer, kind, "local", NOW, vertical=vertical)))  # type: ignore[return-value]


def run(customer: str, seconds: float, memory: float = 1.0, vertical: str = "music", days_ago: float = 1) -> PastRun:
    return PastRun(customer, "tables", vertical, seconds, memory, NOW - days_ago * DAY)


def test_the_median_of_its_own_seconds_and_the_95th_percentile_of_its_memory() -> None:
    runs = [run("ann", seconds, memory) for seconds, memory in zip(range(1, 21), range(1, 21), strict=True)]
    assert cost(runs, "ann") == (10.5, 19, "")


def test_only_the_newest_twenty_runs_count() -> None:
    runs = [run("ann", 1000, days_ago=9), *[run("ann", 10, days_ago=day / 10) for day in range(20)]]
    assert cost(runs, "ann") == (10, 1.0, "")


def test_who_has_never_run_costs_what_its_vertical_does_then_what_all_do() -> None:
    runs = [run("ann", 10), run("bob", 30), run("cid", 500, vertical="grocery")]
    assert cost(runs, "new", "music") == (20, 1.0, "the median of music")
    assert cost(runs, "new", "footwear") == (30, 1.0, "the median of all customers")
    assert cost(runs, "new", kind="scoring") == (ASSUMED_SECONDS, 2.0, "nothing has run yet")
    assert cost([], "new") == (ASSUMED_SECONDS, 2.0, "nothing has run yet")


def test_what_was_used_a_day_ago_counts_half() -> None:
    history = history_of([run("ann", 100, days_ago=1), run("ann", 100, days_ago=2), run("bob", 60, days_ago=0)], NOW)
    assert dict(history.usage) == {"ann": 75, "bob": 60}


def test_the_start_of_a_process_is_measured_or_assumed() -> None:
    assert history_of([], NOW, [4, 6, 50]).startup_seconds == 6
    assert history_of([], NOW).startup_seconds == 8
