"""Which jobs start now, and of every other why it waits and until when. Pure, and the only place that decides it.

The sensor that starts nights and ``capflow plan`` that simulates them call the same ``admit``.

Order: those that have waited longer than ``PATIENCE_SECONDS`` first, by how long; then by deadline class, and within it
by what each customer has had of late (fair shares with a half-life of a day). One run at a time for each customer. The
place of a job that memory keeps at the head of the line is reserved. So nobody waits longer than ``latest_start`` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from capflow_assets.nights.cohorts import Loads, Units, units_of
from capflow_assets.nights.job_costs import Cost, History
from capflow_assets.nights.jobs import Capacity, Job, Pool, Running
from capflow_assets.nights.order import CLASS_WORDS, PATIENCE_SECONDS, deadline_classes, in_order
from capflow_assets.nights.reservation import Line, forecast, line_of

NO_CAPACITY = "no capacity"
TOO_LARGE = "too large"
OWN_RUN = "own run"
OWN_JOB = "own job"
MEMORY = "memory"
IN_LINE = "in line"
NOTHING = Pool(0, 0.0)


class Wait(NamedTuple):
    """Why a job waits, and until when: infinity where it will not start unless something is changed.

    ``detail`` says whom or what it waits for, as ``words`` needs it.
    """

    job: Job
    reason: str
    until: float
    detail: tuple[object, ...] = ()

    def words(self) -> str:
        """Why, for people, without the moment.

        >>> Wait(Job("1", "boots", "tables", "gpu", 0), NO_CAPACITY, inf).words()
        'the pool gpu has no capacity'
        """
        pool = self.job.pool
        if self.reason == NO_CAPACITY:
            return f"the pool {pool} has no capacity"
        if self.reason == TOO_LARGE:
            return f"it needs {self.detail[0]:.1f} GiB and the pool {pool} has {self.detail[1]:.1f}"
        if self.reason == OWN_RUN:
            return f"the run of {self.job.customer} that is under way has to end first"
        if self.reason == OWN_JOB:
            return f"another job of {self.job.customer} goes first"
        if self.reason == MEMORY:
            return f"next in line; {self.detail[0]:.1f} GiB of the pool {pool} have to become free"
        ahead, urgency = (int(str(number)) for number in self.detail)
        before = {0: "it is the next", 1: "1 run is before it"}.get(ahead, f"{ahead:,} runs are before it")
        return f"{before} in the pool {pool}; {CLASS_WORDS[urgency]}"


class Start(NamedTuple):
    """One run to start: its jobs, in the order of their partitions, and what it should take with its start-up."""

    jobs: tuple[Job, ...]
    seconds: float
    memory_gib: float
    is_assumed: bool


class Admission(NamedTuple):
    """What starts now, in order, and what waits; every pending job is in exactly one of them."""

    starts: list[Start]
    waits: list[Wait]


def admit(
    pending: Sequence[Job],
    running: Sequence[Running],
    capacity: Capacity,
    history: History,
    now: float,
    patience: float = PATIENCE_SECONDS,
) -> Admission:
    """Who of ``pending`` starts ``now``, beside what is ``running``, and of everybody else why and until when not.

    Capacity is never exceeded, as far as costs are known. Costs no more than sorting: 10,000 jobs in tens of
    milliseconds.
    """
    waits: list[Wait] = []
    own_cost = history.own.get
    costs = [own_cost((job.customer, job.kind)) or history.cost(job) for job in pending]
    lines, followers = _candidates(pending, costs, running, capacity, now, waits)
    starts: list[Start] = []
    over_at: dict[str, float] = {}
    for name, rows in lines.items():
        pool, own = capacity[name], [run for run in running if run.pool == name]
        loads = _loads(pending, costs, rows, history, now, patience)
        units = units_of(loads, history.startup_seconds, pool)
        work = sum(cost.seconds for job, cost in zip(pending, costs, strict=True) if job.pool == name)
        line = line_of(units, in_order(units, work / pool.slots).tolist(), own, pool, now)
        moments = forecast(units, line, own, pool, now)
        starts += [_start(units, unit) for unit in line.starts]
        waits += _in_line(units, line, moments)
        if followers:
            over_at |= _ends(units, line, moments, now)
    waits += [Wait(job, OWN_JOB, over_at.get(job.customer, inf)) for job in followers]
    return Admission(starts, waits)


def latest_start(
    job: Job, pending: Iterable[Job], running: Sequence[Running], history: History, patience: float, longest: float
) -> float:
    """By when ``job`` starts, whoever comes later, if costs are right and its pool can hold it.

    After ``patience`` only those who came before it go first. In the worst case each of them has the pool for itself,
    after the ``longest`` run of the pool has ended.
    """
    ahead = (
        history.cost(other).seconds + history.startup_seconds
        for other in pending
        if other.pool == job.pool and other.key != job.key and other.since <= job.since + patience
    )
    own = sum(run.seconds for run in running if job.customer in run.customers)
    return job.since + patience + longest + own + sum(ahead)


def _candidates(
    pending: Sequence[Job],
    costs: Sequence[Cost],
    running: Sequence[Running],
    capacity: Capacity,
    now: float,
    waits: list[Wait],
) -> tuple[dict[str, list[int]], list[Job]]:
    """The places of one job of each customer that could start, by pool; and the jobs that come after those.

    Jobs that cannot start are put into ``waits``.
    """
    busy = {customer: run for run in running for customer in run.customers}
    # The most memory of a job that fits; nothing fits a pool without slots.
    most = {name: pool.memory_gib for name, pool in capacity.items() if pool.slots > 0 and pool.memory_gib > 0}
    rows: dict[str, list[int]] = defaultdict(list)
    followers: list[Job] = []
    chosen: set[str] = set()
    for place in np.argsort(np.array([job.since for job in pending]), kind="stable").tolist():
        job, memory = pending[place], costs[place].memory_gib
        customer = job.customer
        if customer in busy or not memory <= most.get(job.pool, -inf):
            waits.append(_wait_alone(job, memory, capacity, busy, now))
        elif customer in chosen:
            followers.append(job)
        else:
            chosen.add(customer)
            rows[job.pool].append(place)
    return rows, followers


def _wait_alone(job: Job, memory_gib: float, capacity: Capacity, busy: Mapping[str, Running], now: float) -> Wait:
    """Why a job cannot start, whoever else waits."""
    pool = capacity.get(job.pool, NOTHING)
    if pool.slots < 1 or pool.memory_gib <= 0:
        return Wait(job, NO_CAPACITY, inf)
    if memory_gib > pool.memory_gib:
        return Wait(job, TOO_LARGE, inf, (memory_gib, pool.memory_gib))
    return Wait(job, OWN_RUN, busy[job.customer].expected_end(now))


def _loads(
    pending: Sequence[Job],
    costs: Sequence[Cost],
    rows: Sequence[int],
    history: History,
    now: float,
    patience: float,
) -> Loads:
    jobs = [pending[row] for row in rows]
    seconds = np.array([costs[row].seconds for row in rows])
    since, deadline = np.array([job.since for job in jobs]), np.array([job.deadline for job in jobs])
    return Loads(
        jobs,
        seconds,
        np.array([costs[row].memory_gib for row in rows]),
        np.array([bool(costs[row].assumed) for row in rows]),
        deadline_classes(since, deadline, seconds, now, patience),
        np.array([history.usage.get(job.customer, 0.0) for job in jobs]),
        since,
    )


def _start(units: Units, unit: int) -> Start:
    seconds, memory = float(units.seconds[unit]), float(units.memory_gib[unit])
    return Start(units.of(unit), seconds, memory, bool(units.is_assumed[unit]))


def _in_line(units: Units, line: Line, moments: Sequence[float]) -> list[Wait]:
    urgency, jobs, first = units.urgency.tolist(), units.jobs, units.first
    waits = [
        Wait(jobs[row], IN_LINE, until, (place, urgency[unit]))
        for place, (unit, until) in enumerate(zip(line.waiting, moments, strict=True))
        for row in range(first[unit], first[unit + 1])
    ]
    if line.head is not None:
        detail = (float(units.memory_gib[line.head]),)
        for place in range(first[line.head + 1] - first[line.head]):
            waits[place] = waits[place]._replace(reason=MEMORY, detail=detail)
    return waits


def _ends(units: Units, line: Line, moments: Sequence[float], now: float) -> dict[str, float]:
    """When each customer's next run in a line should be over."""
    begins = [*((unit, now) for unit in line.starts), *zip(line.waiting, moments, strict=True)]
    return {job.customer: begin + float(units.seconds[unit]) for unit, begin in begins for job in units.of(unit)}
