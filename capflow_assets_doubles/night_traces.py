"""Random nights for tests and benchmarks: customers of very different size on pools of different size."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from capflow_assets.nights.job_costs import Cost, History
from capflow_assets.nights.jobs import Job, Pool
from capflow_assets.nights.simulation import Arrival, Simulated


@dataclass(frozen=True)
class Trace:
    """What arrives, what it shares, and what it costs."""

    arrivals: list[Arrival]
    pool: Pool
    history: History

    def seconds(self, job: Job) -> float:
        return self.history.cost(job).seconds


def at_once(seed: int, customers: tuple[int, int] = (30, 300)) -> Trace:
    """One job of each customer, at once: lognormal seconds, up to 25 minutes, and at most a quarter of the memory."""
    dice = random.Random(seed)
    pool = Pool(dice.choice((2, 4, 8, 16)), dice.choice((inf, 24.0, 64.0)))
    names = [f"c{number:03}" for number in range(dice.randint(*customers))]
    own = {}
    for name in names:
        memory = min(dice.lognormvariate(0, 0.8), pool.memory_gib / 4)
        own[name, "tables"] = Cost(min(dice.lognormvariate(4, 0.8), 1500), memory)
    arrivals = [
        Arrival(Job(name, name, "tables", "local", 0, dice.choice((inf, 6 * 3600.0)), place=place if seed % 2 else -1))
        for place, name in enumerate(names)
    ]
    usage = {name: dice.uniform(0, 3000) for name in names}
    return Trace(arrivals, pool, History(own=own, usage=usage, startup_seconds=8.0))


def backlog(seed: int, customers: int = 10, jobs: int = 60) -> Trace:
    """Every customer has more to do than there is time for; its jobs are of a size of its own."""
    dice = random.Random(seed)
    own = {(f"c{number}", "tables"): Cost(dice.uniform(20, 200), 1.0) for number in range(customers)}
    arrivals = [
        Arrival(Job(f"{name}/{number}", name, kind, "local", 0), dice.uniform(0, 10))
        for name, kind in own
        for number in range(jobs)
    ]
    return Trace(arrivals, Pool(dice.choice((2, 3, 4))), History(own=own, startup_seconds=5.0))


def over_time(seed: int, customers: int = 60, hours: float = 8) -> Trace:
    """Jobs that arrive through the night, more than the pool can do at times, some of them large, some due soon."""
    dice = random.Random(seed)
    pool = Pool(dice.choice((1, 2, 4)), 24.0)
    own, arrivals = {}, []
    for number in range(customers):
        name = f"c{number:03}"
        own[name, "tables"] = Cost(min(dice.lognormvariate(6, 1), 7200), min(dice.lognormvariate(0, 1.2), 24))
        for again in range(dice.randint(1, 3)):
            at = dice.uniform(0, hours * 3600)
            deadline = dice.choice((inf, at + dice.uniform(0, hours * 3600)))
            arrivals.append(Arrival(Job(f"{name}/{again}", name, "tables", "local", 0, deadline), at))
    return Trace(arrivals, pool, History(own=own, startup_seconds=8.0))


def makespan_ratio(trace: Trace, night: Simulated) -> float:
    """The makespan over what no order could better: the sum of slots or memory held over the pool's, or the longest."""
    runs = {(run.began, run.ended, run.job.key if run.shared == 1 else ""): run for run in night.ran}
    length = {key: run.ended - run.began for key, run in runs.items()}
    held = sum(trace.history.cost(run.job).memory_gib * trace.seconds(run.job) for run in night.ran)
    bounds = (sum(length.values()) / trace.pool.slots, held / trace.pool.memory_gib, max(length.values()))
    return night.makespan / max(bounds)


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


def service_while_blocked(trace: Trace, night: Simulated) -> list[float]:
    """The seconds of work that each customer had had by the moment at which the first of them had none waiting."""
    last_begin: dict[str, float] = {}
    for run in night.ran:
        last_begin[run.job.customer] = max(last_begin.get(run.job.customer, 0.0), run.began)
    end = min(last_begin.values())
    had = dict.fromkeys(last_begin, 0.0)
    for run in night.ran:
        overlap = max(0.0, min(run.ended, end) - run.began)
        had[run.job.customer] += overlap
    return list(had.values())
