"""Who starts when: 10,000 pending jobs decided at once, fairness, makespan and waiting over random nights.

Nights of one job a customer that all come at once (30 to 300 customers, 2 to 16 slots, runs of lognormal length, memory
up to a quarter of the pool) against what no order could better; ten customers that always have something waiting; and
nights whose jobs arrive over hours, some of them as large as the pool, against the bound that is stated.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from math import inf

PENDING = 10_000
NIGHTS = int(os.environ.get("CAPFLOW_NIGHTS", "1000"))
ROUNDS = 9


def run() -> None:
    """Print the figures beside what is demanded."""
    from capflow_assets.nights.admission import latest_start
    from capflow_assets.nights.order import PATIENCE_SECONDS
    from capflow_assets.nights.simulation import simulate
    from capflow_assets_doubles.night_traces import (
        at_once,
        backlog,
        jain,
        makespan_ratio,
        over_time,
        service_while_blocked,
    )

    milliseconds, unit = decided(PENDING), loop_milliseconds()
    print(  # noqa: T201
        f"nights: {PENDING:,} pending jobs decided in {milliseconds:.0f} ms of the CPU (at most 50), where "
        f"a list of a million numbers takes {unit:.0f} ms"
    )
    ratios = []
    for seed in range(NIGHTS):
        trace = at_once(seed)
        ratios.append(makespan_ratio(trace, simulate(trace.arrivals, {"local": trace.pool}, trace.history)))
    print(  # noqa: T201
        f"nights: makespan over the least possible, {NIGHTS:,} nights: median {statistics.median(ratios):.3f}, "
        f"worst {max(ratios):.3f} (at most 1.15)"
    )
    shares = []
    for seed in range(max(1, NIGHTS // 20)):
        trace = backlog(seed)
        night = simulate(trace.arrivals, {"local": trace.pool}, trace.history, patience=inf)
        shares.append(jain(service_while_blocked(trace, night)))
    print(f"nights: Jain's index over {len(shares):,} backlogs: worst {min(shares):.3f} (at least 0.95)")  # noqa: T201
    broken, nearest = 0, 0.0
    for seed in range(NIGHTS):
        trace = over_time(seed)
        night = simulate(trace.arrivals, {"local": trace.pool}, trace.history)
        jobs, longest = [done.job for done in night.ran], max(done.ended - done.began for done in night.ran)
        for done in night.ran:
            bound = latest_start(done.job, jobs, (), trace.history, PATIENCE_SECONDS, longest)
            broken += done.began > bound + 1e-6
            nearest = max(nearest, (done.began - done.arrived) / (bound - done.arrived))
    print(  # noqa: T201
        f"nights: the bound on waiting, {NIGHTS:,} nights: broken {broken} times; the longest wait was "
        f"{100 * nearest:.0f} % of its bound"
    )


def decided(count: int) -> float:
    """The milliseconds of the CPU for one decision over so many jobs, the least of several: a pure function waits for
    nothing, so what the clock says beyond that is other processes."""
    from capflow_assets.nights.admission import admit
    from capflow_assets.nights.job_costs import PastRun, history_of
    from capflow_assets.nights.jobs import Job, Pool

    dice = random.Random(1)  # noqa: S311
    jobs = [
        Job(f"c{n}", f"c{n}", "tables", "local", dice.uniform(0, 3600), dice.choice((inf, 2e4, 4e4)), f"v{n % 6}", n)
        for n in range(count)
    ]
    past = [
        PastRun(f"c{n}", "tables", f"v{n % 6}", dice.lognormvariate(3, 1), dice.uniform(0.5, 4), 0)
        for n in range(0, count, 2)
    ]
    history, capacity = history_of(past, 3600), {"local": Pool(16, 64.0)}
    return min(_milliseconds(lambda: admit(jobs, [], capacity, history, 3600.0)) for _ in range(ROUNDS))


def loop_milliseconds() -> float:
    """What this machine takes at present for a loop that says how busy it is."""
    return min(_milliseconds(lambda: [number for number in range(1_000_000)]) for _ in range(ROUNDS))  # noqa: C416


def _milliseconds(work) -> float:  # type: ignore[no-untyped-def]
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)
