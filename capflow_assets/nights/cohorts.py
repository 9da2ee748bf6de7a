"""Jobs that share a run: small customers, next to each other among the partitions, until start-up hardly counts. Pure.

A run takes seconds before its first step. Dagster gives one run a range of partitions, so only neighbours can share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.nights.jobs import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a run's time, at most so much for its start.
STARTUP_SHARE = 0.1
MOST_IN_COHORT = 25
# No run is longer than this part of what a slot has to do, so that the work can be spread.
LARGEST_PART_OF_SLOT = 0.25


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


def units_of(loads: Loads, startup_seconds: float, slots: int) -> Units:
    """The loads of one pool as runs, each of one kind and urgency.

    >>> jobs = [Job(name, name, "tables", "local", since=0, place=place) for place, name in enumerate("abcdefgh")]
    >>> ones = np.ones(len(jobs))
    >>> loads = Loads(jobs, ones * 10, ones, ones > 1, np.zeros(len(jobs), int), ones, ones)
    >>> units_of(loads, startup_seconds=2, slots=1).seconds
    array([22., 22., 22., 22.])
    """
    enough = startup_seconds * (1 / STARTUP_SHARE - 1)
    enough = min(enough, float(loads.seconds.sum()) / slots * LARGEST_PART_OF_SLOT)
    places = np.array([job.place for job in loads.jobs], dtype=np.int64)
    kind_codes = {kind: code for code, kind in enumerate(sorted({job.kind for job in loads.jobs}))}
    kinds = np.array([kind_codes[job.kind] for job in loads.jobs], dtype=np.int64)
    order = np.lexsort((places, kinds, loads.urgency))
    places, kinds, urgency, seconds = places[order], kinds[order], loads.urgency[order], loads.seconds[order]
    may_share = (places[:-1] >= 0) & (np.diff(places) == 1) & (np.diff(kinds) == 0) & (np.diff(urgency) == 0)
    first = _firsts(may_share, seconds, enough)
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


def _firsts(may_share: NDArray[np.bool_], seconds: NDArray[np.float64], enough: float) -> NDArray[np.int64]:
    """The places at which a unit begins: where a job may not share with the one before it, or that has enough."""
    if not may_share.any():
        return np.arange(len(seconds))
    first, work, members = [0], float(seconds[0]), 1
    for place, (may, more) in enumerate(zip(may_share.tolist(), seconds[1:].tolist(), strict=True), 1):
        if may and work < enough and members < MOST_IN_COHORT:
            work, members = work + more, members + 1
        else:
            first.append(place)
            work, members = more, 1
    return np.array(first)
