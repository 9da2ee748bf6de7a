"""Which runs of one pool start now: in order, and past a head of the line that has to wait only what does not delay it.

Without the reservation a run of much memory would wait behind small ones for ever. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import inf

import numpy as np

from capflow_assets.nights.cohorts import Units
from capflow_assets.nights.jobs import Pool, Running
from capflow_assets.nights.order import WAITED_LONG

# Sums of floats that are equal in truth.
SMALL = 1e-9
# So many of those who wait are followed slot by slot.
EXACT = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One pool's line, by the numbers of units: what starts, what waits in order, and its head if memory keeps that.

    ``head_fits_at`` is when there should be room for the head.
    """

    starts: list[int]
    waiting: list[int]
    head: int | None = None
    head_fits_at: float = inf


@dataclass(slots=True)
class _Room:
    """What of a pool is free."""

    slots: int
    memory_gib: float

    def fits(self, memory_gib: float) -> bool:
        return self.slots >= 1 and memory_gib <= self.memory_gib + SMALL

    def take(self, memory_gib: float) -> None:
        self.slots -= 1
        self.memory_gib -= memory_gib


def line_of(units: Units, ordered: Sequence[int], running: Sequence[Running], pool: Pool, now: float) -> Line:
    """The line of a pool, given its units and their order; each of them fits the pool when that is empty."""
    room = _Room(pool.slots - len(running), pool.memory_gib - sum(run.memory_gib for run in running))
    line = Line([], [])
    memories = units.memory_gib.tolist()
    for place, unit in enumerate(ordered):
        if room.slots < 1:
            line.waiting.extend(ordered[place:])
            return line
        if not room.fits(memories[unit]):
            line.waiting.append(unit)
            return _past_head(units, ordered[place + 1 :], line, running, room, now)
        room.take(memories[unit])
        line.starts.append(unit)
    return line


def _past_head(
    units: Units, others: Sequence[int], line: Line, running: Sequence[Running], room: _Room, now: float
) -> Line:
    """The line whose head has to wait: of the ``others`` start those that end before it fits, or leave it its room."""
    head = line.waiting[0]
    ends = [(run.expected_end(now), run.memory_gib) for run in running]
    ends += [(now + float(units.seconds[unit]), float(units.memory_gib[unit])) for unit in line.starts]
    fits_at, spare = _reservation(float(units.memory_gib[head]), ends, room)
    if units.urgency[head] == WAITED_LONG:
        spare = _Room(0, 0.0)
    for unit in others:
        memory = float(units.memory_gib[unit])
        ends_before = now + units.seconds[unit] <= fits_at + SMALL
        if room.fits(memory) and (ends_before or spare.fits(memory)):
            if not ends_before:
                spare.take(memory)
            room.take(memory)
            line.starts.append(unit)
        else:
            line.waiting.append(unit)
    return Line(line.starts, line.waiting, head, fits_at)


def _reservation(memory_gib: float, ends: Sequence[tuple[float, float]], room: _Room) -> tuple[float, _Room]:
    """When there is room for the head of the line, and what is left of the room then."""
    then = _Room(room.slots, room.memory_gib)
    for end, freed in sorted(ends):
        then.slots += 1
        then.memory_gib += freed
        if then.fits(memory_gib):
            then.take(memory_gib)
            return end, then
    return inf, then


def forecast(units: Units, line: Line, running: Sequence[Running], pool: Pool, now: float) -> list[float]:
    """When each waiting unit of a line should start, if nobody else comes: whenever a slot ends, the next one.

    Memory counts as what it can hold on the whole, not run by run; and beyond ``EXACT`` units slots do as well.
    """
    ends = [run.expected_end(now) for run in running] + [now + float(units.seconds[unit]) for unit in line.starts]
    ends += [now] * (pool.slots - len(ends))
    heapify(ends)
    held = sum((run.expected_end(now) - now) * run.memory_gib for run in running)
    held += float(np.dot(units.seconds[line.starts], units.memory_gib[line.starts]))
    lengths, memories = units.seconds[line.waiting], units.memory_gib[line.waiting]
    # What stands before each unit fills the memory for so long, whatever the slots.
    moments = now + (held + np.cumsum(lengths * memories) - lengths * memories) / pool.memory_gib
    if line.head is not None:
        moments[0] = max(moments[0], line.head_fits_at)
    for place, length in enumerate(lengths[:EXACT].tolist()):
        start = moments[place] = max(ends[0], float(moments[place]))
        heapreplace(ends, start + length)
    later = lengths[EXACT:]
    base = sum(ends) / len(ends)
    moments[EXACT:] = np.maximum(moments[EXACT:], base + (np.cumsum(later) - later) / pool.slots)
    return list(moments.tolist())
