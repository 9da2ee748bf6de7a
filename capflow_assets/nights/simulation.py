"""A night in the future: jobs that arrive, and what the same ``admit`` that starts real ones makes of them. Pure.

Discrete events: something arrives or ends, then it is decided. Nothing is random; what a job takes is what it costs, or
what the caller says that it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import ceil, inf
from typing import NamedTuple

from capflow_assets.nights.admission import Start, Wait, admit
from capflow_assets.nights.job_costs import HALF_LIFE, History
from capflow_assets.nights.jobs import Capacity, Job, Running
from capflow_assets.nights.order import PATIENCE_SECONDS

# Usage of longer ago than this counts nothing; more would be no number any more.
MOST_HALVINGS = 900


class Arrival(NamedTuple):
    """A job and when it may start; or after which other job, by its key: ``job.since`` is set then."""

    job: Job
    at: float = 0.0
    after: str = ""


class Ran(NamedTuple):
    """One job as it went: when it arrived, began and ended, and with how many others it shared its run."""

    job: Job
    arrived: float
    began: float
    ended: float
    shared: int

    @property
    def is_late(self) -> bool:
        """Whether it ended after its deadline."""
        return self.ended > self.job.deadline


class Level(NamedTuple):
    """How things stand from a moment on: jobs that wait, runs under way, and what these hold."""

    at: float
    waiting: int
    running: int
    memory_gib: float


@dataclass(frozen=True, slots=True)
class Simulated:
    """A whole night: every job that ran, in order of start, and those that never could, with the reason."""

    ran: list[Ran]
    never: list[Wait]
    levels: list[Level]

    @property
    def makespan(self) -> float:
        """The seconds from the first arrival to the last end."""
        return max((run.ended for run in self.ran), default=0.0) - min((run.arrived for run in self.ran), default=0.0)


@dataclass(slots=True)
class _State:
    events: list[tuple[float, int, Arrival | str]] = field(default_factory=list)
    pending: dict[str, Job] = field(default_factory=dict)
    running: dict[str, tuple[Running, Start]] = field(default_factory=dict)
    followers: dict[str, list[Arrival]] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    count: int = 0

    def push(self, at: float, event: Arrival | str) -> None:
        self.count += 1
        heappush(self.events, (at, self.count, event))


def simulate(
    arrivals: Iterable[Arrival],
    capacity: Capacity,
    history: History,
    took: Callable[[Job], float] | None = None,
    tick_seconds: float = 0.0,
    patience: float = PATIENCE_SECONDS,
) -> Simulated:
    """The night of ``arrivals``. ``took`` gives the seconds of work of a job where these are not what it costs.

    With ``tick_seconds``, decisions fall on its multiples, as those of a sensor do.
    """
    state = _State(usage=dict(history.usage))
    for arrival in arrivals:
        if arrival.after:
            state.followers.setdefault(arrival.after, []).append(arrival)
        else:
            state.push(arrival.at, arrival)
    seconds_of = took or (lambda job: history.cost(job).seconds)
    waits: Sequence[Wait] = ()
    while state.events:
        now = _next_moment(state.events[0][0], tick_seconds)
        while state.events and state.events[0][0] <= now:
            at, _, event = heappop(state.events)
            _happen(state, event, at)
        waits = _decide(state, capacity, history, seconds_of, now, patience)
    never = [wait for wait in waits if wait.job.key in state.pending]
    return Simulated(state.ran, never, state.levels)


def _next_moment(at: float, tick: float) -> float:
    return ceil(at / tick - 1e-9) * tick if tick > 0 else at


def _happen(state: _State, event: Arrival | str, at: float) -> None:
    if isinstance(event, Arrival):
        state.pending[event.job.key] = event.job._replace(since=at)
        return
    _, start = state.running.pop(event)
    for job in start.jobs:
        for follower in state.followers.pop(job.key, ()):
            state.push(max(at, follower.at), follower)


def _decide(
    state: _State,
    capacity: Capacity,
    history: History,
    seconds_of: Callable[[Job], float],
    now: float,
    patience: float,
) -> Sequence[Wait]:
    under_way = [run for run, _ in state.running.values()]
    pending = list(state.pending.values())
    if under_way and not _has_room(pending, under_way, capacity):
        state.levels.append(_level(state, now))
        return ()
    known = replace(history, usage=state.usage, at=now)
    admission = admit(pending, under_way, capacity, known, now, patience)
    # Usage counts more the later it is, by the same factor that it decays with.
    weight = 2 ** min((now - history.at) / HALF_LIFE, MOST_HALVINGS)
    for start in admission.starts:
        work = [seconds_of(job) for job in start.jobs]
        ended = now + history.startup_seconds + sum(work)
        key, pool = start.jobs[0].key, start.jobs[0].pool
        customers = tuple(job.customer for job in start.jobs)
        run = Running(key, customers, pool, now, start.seconds, start.memory_gib)
        state.running[key] = (run, start)
        for job, seconds in zip(start.jobs, work, strict=True):
            del state.pending[job.key]
            state.usage[job.customer] = state.usage.get(job.customer, 0.0) + seconds * weight
            state.ran.append(Ran(job, job.since, now, ended, len(start.jobs)))
        if ended < inf:
            state.push(ended, key)
    state.levels.append(_level(state, now))
    return admission.waits


def _has_room(pending: Sequence[Job], under_way: Sequence[Running], capacity: Capacity) -> bool:
    """Whether anything could start at all."""
    taken = Counter(run.pool for run in under_way)
    return any(taken[name] < pool.slots for name, pool in capacity.items()) and bool(pending)


def _level(state: _State, now: float) -> Level:
    held = sum(run.memory_gib for run, _ in state.running.values())
    return Level(now, len(state.pending), len(state.running), held)
