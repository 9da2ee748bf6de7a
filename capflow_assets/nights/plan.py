"""What a coming night will be like, and what would make it better, by the ``admit`` that decides real ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from capflow_assets.nights.job_costs import History
from capflow_assets.nights.jobs import SCORING, TABLES, Capacity, Job, Pool
from capflow_assets.nights.simulation import Arrival, Level, Simulated, simulate
from capflow_assets.nights.windows import Night

# A night of more jobs than this is simulated, but what would help is not.
MOST_FOR_HELP = 4000
EARLIER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One customer of a plan: when its night is, and which pool does which half of it."""

    customer: str
    vertical: str
    night: Night
    place: int = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """A night as it should go. Seconds, moments in seconds since 1970, GiB.

    ``late`` holds the seconds by which customers miss their deadline, ``never`` why some cannot be done at all.
    """

    customers: int
    jobs: int
    runs: int
    work_seconds: float
    startup_seconds: float
    begins: float
    ends: float
    most_waiting: int
    longest_wait: float
    who_waits_longest: str
    peak_memory_gib: float
    late: Mapping[str, float]
    never: Mapping[str, str]
    assumed: int
    levels: Sequence[Level]

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end."""
        return self.ends - self.begins

    @property
    def startup_share(self) -> float:
        """Which part of the time of runs is their start-up."""
        whole = self.work_seconds + self.startup_seconds
        return self.startup_seconds / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Help:
    """One change, in words, and the night with it."""

    change: str
    plan: Plan


def arrivals_of(customers: Sequence[Planned], pools: Mapping[str, str]) -> list[Arrival]:
    """Each customer's tables when its night begins, its scoring after them; ``pools`` holds where each half runs."""
    arrivals = []
    for planned in customers:
        name, night = planned.customer, planned.night
        tables, scoring = (
            Job(f"{name}/{kind}", name, kind, pools[kind], night.start, night.deadline, planned.vertical, planned.place)
            for kind in (TABLES, SCORING)
        )
        arrivals += [Arrival(tables, night.start), Arrival(scoring, night.start, after=tables.key)]
    return arrivals


def plan_of(arrivals: Sequence[Arrival], capacity: Capacity, history: History, tick_seconds: float = 0.0) -> Plan:
    """The plan of a night."""
    return summary(arrivals, simulate(arrivals, capacity, history, tick_seconds=tick_seconds), history)


def summary(arrivals: Sequence[Arrival], night: Simulated, history: History) -> Plan:
    """A simulated night in few figures."""
    costs = {arrival.job.key: history.cost(arrival.job) for arrival in arrivals}
    run_starts = {(run.began, run.ended, run.job.key if run.shared == 1 else run.job.kind) for run in night.ran}
    late: dict[str, float] = {}
    for run in night.ran:
        if run.is_late:
            late[run.job.customer] = max(late.get(run.job.customer, 0.0), run.ended - run.job.deadline)
    waited = max(night.ran, key=lambda run: run.began - run.arrived, default=None)
    begins = min((arrival.at for arrival in arrivals if not arrival.after), default=0.0)
    return Plan(
        customers=len({arrival.job.customer for arrival in arrivals}),
        jobs=len(arrivals),
        runs=len(run_starts),
        work_seconds=sum(costs[run.job.key].seconds for run in night.ran),
        startup_seconds=history.startup_seconds * len(run_starts),
        begins=begins,
        ends=max((run.ended for run in night.ran), default=begins),
        most_waiting=max((level.waiting for level in night.levels), default=0),
        longest_wait=waited.began - waited.arrived if waited else 0.0,
        who_waits_longest=waited.job.customer if waited else "",
        peak_memory_gib=max((level.memory_gib for level in night.levels), default=0.0),
        late=dict(sorted(late.items(), key=lambda entry: -entry[1])),
        never={wait.job.customer: wait.words() for wait in night.never},
        assumed=len({arrival.job.customer for arrival in arrivals if costs[arrival.job.key].assumed}),
        levels=night.levels,
    )


def helps(arrivals: Sequence[Arrival], capacity: Capacity, history: History) -> list[Help]:
    """What would make the night shorter or nobody late, each change by itself: those that change something.

    A run more at once, twice the memory, an hour earlier.
    """
    if len(arrivals) > MOST_FOR_HELP:
        return []
    before = plan_of(arrivals, capacity, history)
    used = {arrival.job.pool for arrival in arrivals}

    def with_pools(change: Callable[[Pool], Pool]) -> Capacity:
        return {name: change(pool) if name in used else pool for name, pool in capacity.items()}

    changes: list[Help] = []
    more = with_pools(lambda pool: pool._replace(slots=pool.slots + 1))
    changes.append(Help("one more run at once", plan_of(arrivals, more, history)))
    if any(capacity[name].memory_gib < inf for name in used if name in capacity):
        larger = with_pools(lambda pool: pool._replace(memory_gib=2 * pool.memory_gib))
        changes.append(Help("twice the memory", plan_of(arrivals, larger, history)))
    if before.late:
        earlier = [arrival._replace(at=arrival.at - EARLIER_SECONDS) for arrival in arrivals]
        changes.append(Help("an hour earlier", plan_of(earlier, capacity, history)))
    return [change for change in changes if _is_better(change.plan, before)]


def _is_better(plan: Plan, before: Plan) -> bool:
    """Whether it is a twentieth shorter, or fewer are late, or fewer can never be done."""
    is_shorter = plan.makespan < 0.95 * before.makespan
    return is_shorter or len(plan.late) < len(before.late) or len(plan.never) < len(before.never)
