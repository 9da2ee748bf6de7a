"""Jobs that share a run: small customers, next to each other among the partitions, until start-up hardly counts. Pure.

A run takes seconds before its first step. Dagster gives one run a range of partitions, so only neighbours can share it.
A shared run holds the most that one of its jobs needs for as long as all of them take: where memory is what a pool is
short of, jobs of unlike memory do not share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.nights.jobs import Job, Pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a run's time, at most so much for its start.
STARTUP_SHARE = 0.1
MOST_IN_COHORT = 25
# No run is longer than this part of what a slot has to do, so that the work can be spread.
LARGEST_PART_OF_SLOT = 0.25
# Memory is short where all jobs would hold it for so much of the time that they keep the slots busy.
SHORT_OF_MEMORY = 0.5


@dataclass(frozen=True, slots=True)
class Loads:
    """Jobs that could start, of one pool, and what is known of each, in arrays of one length."""

    jobs: Sequence[Job]
    seconds: NDArray[np.float64]
    memory_gib: NDArray[np.float64]
    is_assumed: NDArray[np.bool_]
    urgency: NDArray[np.int64]
    usage: NDArray[np.float64]
    since: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Units:
    """What is started as one run each: one job, or a cohort of jobs that are done one after another.

    The jobs of unit ``i`` are ``jobs[first[i]:first[i + 1]]``; the other arrays have one value for each unit.
    ``seconds`` hold the start-up of the run; ``usage`` is the mean of its customers.
    """

    jobs: Sequence[Job]
    first: Sequence[int]
    seconds: NDArray[np.float64]
    memory_gib: NDArray[np.float64]
    is_assumed: NDArray[np.bool_]
    urgency: NDArray[np.int64]
    usage: NDArray[np.float64]
    since: NDArray[np.float64]

    def of(self, unit: int) -> tuple[Job, ...]:
        """The jobs of a unit."""
        return tuple(self.jobs[self.first[unit] : self.first[unit + 1]])


def units_of(loads: Loads, startup_seconds: float, pool: Pool) -> Units:
    """The loads of one pool as runs, each of one kind and urgency.

    >>> jobs = [Job(name, name, "tables", "local", since=0, place=place) for place, name in enumerate("abcdefgh")]
    >>> ones = np.ones(len(jobs))
    >>> loads = Loads(jobs, ones * 10, ones, ones > 1, np.zeros(len(jobs), int), ones, ones)
    >>> units_of(loads, startup_seconds=2, pool=Pool(1)).seconds
    array([22., 22., 22., 22.])
    """
    enough = startup_seconds * (1 / STARTUP_SHARE - 1)
    slot_seconds = float(loads.seconds.sum()) / pool.slots
    enough = min(enough, slot_seconds * LARGEST_PART_OF_SLOT)
    memory_seconds = float(loads.seconds @ loads.memory_gib) / pool.memory_gib
    is_short_of_memory = memory_seconds > slot_seconds * SHORT_OF_MEMORY
    places = np.array([job.place for job in loads.jobs], dtype=np.int64)
    kind_codes = {kind: code for code, kind in enumerate(sorted({job.kind for job in loads.jobs}))}
    kinds = np.array([kind_codes[job.kind] for job in loads.jobs], dtype=np.int64)
    order = np.lexsort((places, kinds, loads.urgency))
    places, kinds, urgency, seconds = places[order], kinds[order], loads.urgency[order], loads.seconds[order]
    may_share = (places[:-1] >= 0) & (np.diff(places) == 1) & (np.diff(kinds) == 0) & (np.diff(urgency) == 0)
    memory = loads.memory_gib[order] if is_short_of_memory else np.zeros(len(order))
    first = _firsts(may_share, seconds, enough, memory, startup_seconds)
    jobs = [loads.jobs[row] for row in order.tolist()]
    return Units(
        jobs,
        [*first.tolist(), len(jobs)],
        np.add.reduceat(seconds, first) + startup_seconds,
        np.maximum.reduceat(loads.memory_gib[order], first),
        np.logical_or.reduceat(loads.is_assumed[order], first),
        urgency[first],
        np.add.reduceat(loads.usage[order], first) / np.diff([*first, len(jobs)]),
        np.minimum.reduceat(loads.since[order], first),
    )


def _firsts(
    may_share: NDArray[np.bool_],
    seconds: NDArray[np.float64],
    enough: float,
    memory_gib: NDArray[np.float64],
    startup_seconds: float,
) -> NDArray[np.int64]:
    """The places at which a unit begins.

    That is where a job may not share with the one before it, where that unit has enough, or where the two together
    would hold more GiB seconds than apart.
    """
    if not may_share.any():
        return np.arange(len(seconds))
    first, work, members, most = [0], float(seconds[0]), 1, float(memory_gib[0])
    others = zip(may_share.tolist(), seconds[1:].tolist(), memory_gib[1:].tolist(), strict=True)
    for place, (may, more, memory) in enumerate(others, 1):
        apart = (work + startup_seconds) * most + (more + startup_seconds) * memory
        together = (work + more + startup_seconds) * max(most, memory)
        if may and work < enough and members < MOST_IN_COHORT and together <= apart:
            work, members, most = work + more, members + 1, max(most, memory)
        else:
            first.append(place)
            work, members, most = more, 1, memory
    return np.array(first)
