"""What holds for every night: capacity, one run a customer, the bound on waiting, fair shares, the makespan."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.nights.admission import admit, latest_start
from capflow_assets.nights.job_costs import Cost, History
from capflow_assets.nights.jobs import Job, Pool, Running
from capflow_assets.nights.order import PATIENCE_SECONDS
from capflow_assets.nights.simulation import Arrival, simulate
from capflow_assets_doubles.night_traces import (
    at_once,
    backlog,
    jain,
    makespan_ratio,
    over_time,
    service_while_blocked,
)

NOW = 1_000_000.0
POOLS = ("local", "gpu")
JOBS = st.lists(
    st.tuples(
        st.integers(0, 7),  # customer
        st.sampled_from(("tables", "scoring")),
        st.sampled_from((*POOLS, "nowhere")),
        st.floats(0, 50_000),  # waited
        st.one_of(st.just(inf), st.floats(-9000, 90_000)),  # to the deadline
        st.integers(-1, 9),  # place
    ),
    max_size=25,
)
RUNNING = st.lists(st.tuples(st.integers(5, 9), st.sampled_from(POOLS), st.floats(0, 9e4)), max_size=4)
POOL = st.builds(Pool, st.integers(0, 4), st.one_of(st.just(inf), st.floats(0, 16)))
COSTS = st.lists(st.tuples(st.floats(0, 20_000), st.floats(0, 12)), min_size=10, max_size=10)


@given(jobs=JOBS, runs=RUNNING, pools=st.tuples(POOL, POOL), costs=COSTS, startup=st.floats(0, 100))
@settings(max_examples=150, deadline=None)
def test_every_job_starts_or_is_told_why_not_and_capacity_holds(jobs, runs, pools, costs, startup):
    pending = [
        Job(str(number), f"c{customer}", kind, pool, NOW - waited, NOW + until, "v", place)
        for number, (customer, kind, pool, waited, until, place) in enumerate(jobs)
    ]
    running = [Running(f"r{n}", (f"c{c}",), pool, NOW - age, 600, 1.0) for n, (c, pool, age) in enumerate(runs)]
    own = {(f"c{customer}", "tables"): Cost(*figures) for customer, figures in enumerate(costs)}
    capacity = dict(zip(POOLS, pools, strict=True))
    admission = admit(pending, running, capacity, History(own=own, startup_seconds=startup), NOW)

    starts = [job for start in admission.starts for job in start.jobs]
    waits = [wait.job for wait in admission.waits]
    assert sorted(job.key for job in starts + waits) == sorted(job.key for job in pending)
    assert all(wait.until >= NOW for wait in admission.waits)
    assert all(wait.words() for wait in admission.waits)
    customers = [job.customer for job in starts] + [name for run in running for name in run.customers]
    new = {job.customer for job in starts}
    assert all(customers.count(name) == 1 for name in new), "one run at a time for each customer"
    for name, pool in capacity.items():
        own_starts = [start for start in admission.starts if start.jobs[0].pool == name]
        own_runs = [run for run in running if run.pool == name]
        if own_starts:
            assert len(own_starts) + len(own_runs) <= pool.slots
            held = sum(start.memory_gib for start in own_starts) + sum(run.memory_gib for run in own_runs)
            assert held <= pool.memory_gib * (1 + 1e-9) + 1e-6
    for start in admission.starts:
        assert all(other.place == one.place + 1 > 0 for one, other in pairwise(start.jobs))
        assert len({(job.pool, job.kind) for job in start.jobs}) == 1


def check_capacity_and_makespan(seeds: Iterable[int]) -> None:
    for seed in seeds:
        trace = at_once(seed)
        night = simulate(trace.arrivals, {"local": trace.pool}, trace.history)
        assert len(night.ran) == len(trace.arrivals)
        assert max(level.running for level in night.levels) <= trace.pool.slots
        assert max(level.memory_gib for level in night.levels) <= trace.pool.memory_gib + 1e-6
        assert makespan_ratio(trace, night) <= 1.15, seed


def check_fairness(seeds: range) -> None:
    for seed in seeds:
        trace = backlog(seed)
        night = simulate(trace.arrivals, {"local": trace.pool}, trace.history, patience=inf)
        assert jain(service_while_blocked(trace, night)) >= 0.95, seed


def check_bound(seeds: range, patience: float) -> None:
    for seed in seeds:
        trace = over_time(seed)
        night = simulate(trace.arrivals, {"local": trace.pool}, trace.history, patience=patience)
        longest = max(run.ended - run.began for run in night.ran)
        jobs = [run.job for run in night.ran]
        for run in night.ran:
            bound = latest_start(run.job, jobs, (), trace.history, patience, longest)
            assert run.began <= bound + 1e-6, (seed, run)


def test_a_night_that_comes_at_once_takes_hardly_longer_than_it_must():
    check_capacity_and_makespan(range(12))


def test_where_memory_is_short_jobs_of_unlike_memory_do_not_share_a_run():
    """Nights that took up to 1.23 of the least possible, when a shared run held its largest job's memory all along."""
    check_capacity_and_makespan((81, 679, 853))


def test_customers_who_wait_get_equal_shares_whatever_the_size_of_their_jobs():
    check_fairness(range(2))


@pytest.mark.parametrize("patience", [0.0, 1800.0, PATIENCE_SECONDS])
def test_nobody_waits_longer_than_is_stated(patience):
    check_bound(range(3), patience)


def test_a_large_job_is_not_starved_by_small_ones():
    """Small ones keep coming, more than there is room for; the large one needs nearly all of the memory."""
    own = {("big", "tables"): Cost(600, 20)} | {(f"s{number}", "tables"): Cost(100, 5) for number in range(400)}
    history = History(own=own, usage={"big": 5000.0}, startup_seconds=0)
    jobs = [Arrival(Job(f"s{number}", f"s{number}", "tables", "local", 0), number * 20.0) for number in range(400)]
    jobs.append(Arrival(Job("big", "big", "tables", "local", 0), 100.0))
    night = simulate(jobs, {"local": Pool(4, 24)}, history, patience=1800)
    began = next(run.began for run in night.ran if run.job.customer == "big")
    assert began <= 100 + 1800 + 101


@pytest.mark.long
def test_a_thousand_nights():
    check_capacity_and_makespan(range(100, 1100))
    check_fairness(range(100, 200))
    check_bound(range(100, 1100), PATIENCE_SECONDS)
