"""What a job costs, by what its customer's earlier runs took; and what each customer has had of late. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from capflow_assets.nights.jobs import ANY, Job

DAY = 86_400.0
# What a customer had a day ago counts half of what it has today.
HALF_LIFE = DAY
# The newest runs of each customer and kind that count; older ones were of another size.
NEWEST = 20
# Where nothing at all has run yet: seconds of work and GiB.
ASSUMED_SECONDS, ASSUMED_MEMORY_GIB = 60.0, 2.0
# What a run takes before its first step: imports, the session, the event log.
ASSUMED_STARTUP_SECONDS = 8.0


class PastRun(NamedTuple):
    """What one customer's part of a run took. ``seconds`` are those of work, without the start-up of its process."""

    customer: str
    kind: str
    vertical: str
    seconds: float
    memory_gib: float
    ended: float


class Cost(NamedTuple):
    """What a job is expected to take; ``assumed`` says whose figures these are, and is blank where they are its own."""

    seconds: float
    memory_gib: float
    assumed: str = ""


NOTHING_KNOWN = Cost(ASSUMED_SECONDS, ASSUMED_MEMORY_GIB, "nothing has run yet")


@dataclass(frozen=True, slots=True)
class History:
    """What past runs say: costs by customer and kind, else by vertical and kind, else by kind; and each one's usage.

    ``usage`` is in slot-seconds, decayed to the moment ``at``.
    """

    own: Mapping[tuple[str, str], Cost] = field(default_factory=dict)
    verticals: Mapping[tuple[str, str], Cost] = field(default_factory=dict)
    kinds: Mapping[str, Cost] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0
    startup_seconds: float = ASSUMED_STARTUP_SECONDS

    def cost(self, job: Job) -> Cost:
        """What a job is expected to take."""
        return (
            self.own.get((job.customer, job.kind))
            or self.verticals.get((job.vertical, job.kind))
            or self.kinds.get(job.kind)
            or NOTHING_KNOWN
        )


def history_of(runs: Iterable[PastRun], now: float, startups: Iterable[float] = ()) -> History:
    """What past runs say; ``startups`` are the seconds that processes took before their first step.

    A customer's seconds are the median of its newest runs, its memory the 95th percentile. A customer of whom nothing
    is known has the median of its vertical, and where there is none, of all.

    >>> past = [PastRun("boots", "tables", "footwear", seconds, 1.0, 0.0) for seconds in (10, 20, 90)]
    >>> history = history_of(past, now=DAY)
    >>> history.cost(Job("1", "boots", "tables", "local", 0)), history.usage["boots"]
    (Cost(seconds=20, memory_gib=1.0, assumed=''), 60.0)
    >>> history.cost(Job("2", "heels", "tables", "local", 0, vertical="footwear")).assumed
    'the median of footwear'
    """
    of_job: dict[tuple[str, str], list[PastRun]] = defaultdict(list)
    usage: dict[str, float] = defaultdict(float)
    vertical_of: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: run.ended):
        of_job[run.customer, run.kind].append(run)
        vertical_of[run.customer] = run.vertical
        usage[run.customer] += run.seconds * decay(now - run.ended)
    own = {name: _cost(past[-NEWEST:]) for name, past in of_job.items()}
    by_vertical: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    by_kind: dict[str, list[Cost]] = defaultdict(list)
    for (customer, kind), cost in own.items():
        by_kind[kind].append(cost)
        if vertical_of[customer] != ANY:
            by_vertical[vertical_of[customer], kind].append(cost)
    return History(
        own,
        {name: _typical(costs, f"the median of {name[0]}") for name, costs in by_vertical.items()},
        {kind: _typical(costs, "the median of all customers") for kind, costs in by_kind.items()},
        dict(usage),
        now,
        median(startups) if (startups := list(startups)) else ASSUMED_STARTUP_SECONDS,
    )


def decay(age_seconds: float) -> float:
    """What is left of usage that is so old.

    >>> decay(0), decay(DAY), decay(2 * DAY)
    (1.0, 0.5, 0.25)
    """
    return float(0.5 ** (max(0.0, age_seconds) / HALF_LIFE))


def _cost(past: list[PastRun]) -> Cost:
    memory = sorted(run.memory_gib for run in past)
    return Cost(median(run.seconds for run in past), memory[-(-95 * len(memory) // 100) - 1])


def _typical(costs: list[Cost], words: str) -> Cost:
    return Cost(median(cost.seconds for cost in costs), median(cost.memory_gib for cost in costs), words)
