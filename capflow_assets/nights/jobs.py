"""The nouns of a night's load: jobs that wait, runs under way, and the pools that they share. Pure.

All moments are seconds since 1970 (UTC), all durations seconds, all memory GiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

# The two halves of a night: landing and all tables; then scoring, delivery and health.
TABLES, SCORING = "tables", "scoring"
# What a job is of besides its customer's own name, where there is no vertical.
ANY = ""


class Job(NamedTuple):
    """One piece of a customer's night that may start now. ``key`` tells it from all others.

    ``place`` is where the customer stands among the partitions: jobs next to each other may share a run. Those of a
    negative place never do.
    """

    key: str
    customer: str
    kind: str
    pool: str
    since: float
    deadline: float = inf
    vertical: str = ANY
    place: int = -1


class Running(NamedTuple):
    """A run under way, or one that is launched already: whose it is, what it takes, and how long it should take."""

    key: str
    customers: tuple[str, ...]
    pool: str
    began: float
    seconds: float
    memory_gib: float

    def expected_end(self, now: float) -> float:
        """When it should be over. One that has outlasted its estimate is taken to last half as long again.

        >>> run = Running("boots", ("boots",), "local", began=0, seconds=60, memory_gib=1)
        >>> run.expected_end(now=10), run.expected_end(now=600)
        (60, 900.0)
        """
        planned = self.began + self.seconds
        return planned if planned > now else now + max(1.0, (now - self.began) / 2)


class Pool(NamedTuple):
    """What can run at once in one place: so many runs, of so much memory together."""

    slots: int
    memory_gib: float = inf


Capacity = Mapping[str, Pool]
