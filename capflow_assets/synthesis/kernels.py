"""Loops over the rows of groups, compiled. Pure.

Python's threads take turns, and numpy keeps the turn in most of what sums groups up. These loops give it up, so that
the workers of one process run side by side, and they read each value once or twice only. They are compiled on first
use, which takes some seconds, and cached beside this file or in the user's cache until this file changes: so whatever
is compiled in must stand in it. Import this module inside a function, for its compiler takes half a second to import.

Shapes: ``rows`` (n,) holds numbers of rows, group by group; those of group g are ``rows[begins[g]:ends[g]]``. Values
are looked up by the number of the row. ``out`` receives the figures. Figures of groups of groups are computed from the
first ``STORED`` of ``FIGURES``; the others are left out where ``out`` has no room for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types, vectorize

from capflow_assets.synthesis.figures import FIGURES, LARGEST, STORED, TICKS

_KNOWN, _SQUARES, _TOTAL, _LEAST, _GREATEST, _MEAN, _DEVIATION, _NEWEST = range(8)
_STORED = 5
_LARGEST = 1e16
assert FIGURES == ("known", "squares", "total", "least", "greatest", "mean", "deviation", "newest")  # noqa: S101
assert (_STORED, _LARGEST) == (STORED, LARGEST * TICKS)  # noqa: S101


def _read(kind: Any, axes: int = 1) -> Any:
    return types.Array(kind, axes, "C", readonly=True)


_GROUPS = (_read(types.u4), _read(types.i8), _read(types.i8))


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a loop for one kind of arguments; without keeping it where there is no place to keep it."""

    def of(loop: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(signature, nogil=True, error_model="numpy", cache=True)(loop)
        except (RuntimeError, OSError):
            return njit(signature, nogil=True, error_model="numpy")(loop)

    return of


@cache
def array_transform(transform: Callable[..., float], inputs: int) -> Callable[..., Any]:
    """A transform of numbers as one of arrays of them; unknown ones are NaN."""
    signature = [f"f8({', '.join(['f8'] * inputs)})"]
    try:
        return vectorize(signature, cache=True)(transform)
    except (RuntimeError, OSError):
        return vectorize(signature)(transform)


@compiled((types.i8,))
def _room(count):  # type: ignore[no-untyped-def]
    """The size of a hash table for so many: a power of two, at most a quarter of it full."""
    size = 4
    while size < 4 * count:
        size *= 2
    return size


@compiled((_read(types.i8), _read(types.i8), types.i4[::1]))
def places(hashes, among, out):  # type: ignore[no-untyped-def]
    """Where each hash stands among others, all different; -1 where it does not. Neighbours are often the same."""
    mask = _room(among.size) - 1
    table = np.full(mask + 1, -1, np.int32)
    for place in range(among.size):
        slot = among[place] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = place
    for row in range(hashes.size):
        if row and hashes[row] == hashes[row - 1]:
            out[row] = out[row - 1]
            continue
        slot = hashes[row] & mask
        while table[slot] >= 0 and among[table[slot]] != hashes[row]:
            slot = (slot + 1) & mask
        out[row] = table[slot]


@compiled((types.u4[::1], _read(types.i8)))
def _sort(rows, place):  # type: ignore[no-untyped-def]
    """Sort rows by their place, those of one place as they are, by merging ever longer stretches."""
    beside, width = np.empty_like(rows), 1
    while width < rows.size:
        for begin in range(0, rows.size, 2 * width):
            left, middle, end = begin, min(begin + width, rows.size), min(begin + 2 * width, rows.size)
            right = middle
            for at in range(begin, end):
                if left < middle and (right == end or place[rows[left]] <= place[rows[right]]):
                    beside[at] = rows[left]
                    left += 1
                else:
                    beside[at] = rows[right]
                    right += 1
        rows[:] = beside
        width *= 2


@compiled((_read(types.i4), _read(types.i8), types.u4[::1], types.i8[::1]))
def by_group(group, place, rows, bounds):  # type: ignore[no-untyped-def]
    """Fill in ``rows`` group by group, each by ``place``, and where each group begins, and the last one ends.

    ``group`` is that of each row, negative where it has none; there is one more of the ``bounds``, 0 all of them, than
    groups.
    """
    count = bounds.size - 1
    for row in range(group.size):
        if group[row] >= 0:
            bounds[group[row] + 1] += 1
    for preceding in range(count):
        bounds[preceding + 1] += bounds[preceding]
    ends, is_in_order = bounds[:-1].copy(), np.ones(count, np.bool_)
    for row in range(group.size):
        of = group[row]
        if of >= 0:
            at = ends[of]
            if at > bounds[of] and place[rows[at - 1]] > place[row]:
                is_in_order[of] = False
            rows[at] = row
            ends[of] = at + 1
    for unsorted in range(count):
        if not is_in_order[unsorted]:
            _sort(rows[bounds[unsorted] : bounds[unsorted + 1]], place)


@compiled((types.f8[:, :, ::1], types.i8, types.i8, types.f8))
def _derive(out, variable, group, newest):  # type: ignore[no-untyped-def]
    """The figures that follow from the stored ones, where there is room for them."""
    if out.shape[1] > _STORED:
        known = out[variable, _KNOWN, group]
        out[variable, _MEAN, group] = out[variable, _TOTAL, group] / known
        out[variable, _DEVIATION, group] = (
            np.sqrt(out[variable, _SQUARES, group] / (known - 1)) if known > 1 else np.nan
        )
        out[variable, _NEWEST, group] = newest


@compiled((types.f8, types.f8))
def whole_ticks(value, one):  # type: ignore[no-untyped-def]
    """A number in whole ticks, ``one`` of it being so many, halves upwards; NaN where it is too large.

    >>> [whole_ticks(value, 1e6) for value in (0.0000005, -2.5, 1e10)]
    [1.0, -2500000.0, nan]
    """
    counted = value * one
    return np.floor(counted + 0.5) if abs(counted) < _LARGEST else np.nan


@compiled((_read(types.f8, 2), types.f8, *_GROUPS, types.f8[:, :, ::1]))
def summed(values, one, rows, begins, ends, out):  # type: ignore[no-untyped-def]
    """Figures of the known values of each group: ``values`` (variables, rows), ``out`` (variables, figures, groups).

    ``one`` of the values is so many ticks. Squares are those of the distances from the mean. They are computed in one
    pass from the distances from the first value: as that is one of the values, few of their digits are lost.
    """
    for variable in range(values.shape[0]):
        for group in range(begins.size):
            known, total, least, greatest = 0, 0.0, np.inf, -np.inf
            first, apart, squares, value = 0.0, 0.0, 0.0, np.nan
            for at in range(begins[group], ends[group]):
                value = whole_ticks(values[variable, rows[at]], one)
                if not np.isnan(value):
                    if known == 0:
                        first = value
                    known += 1
                    total += value
                    least = min(least, value)
                    greatest = max(greatest, value)
                    apart += value - first
                    squares += (value - first) * (value - first)
            out[variable, _KNOWN, group], out[variable, _TOTAL, group] = known, total
            out[variable, _SQUARES, group] = max(squares - apart * apart / known, 0.0) if known else 0.0
            out[variable, _LEAST, group] = least if known else np.nan
            out[variable, _GREATEST, group] = greatest if known else np.nan
            _derive(out, variable, group, value)


@compiled((_read(types.f8, 2), *_GROUPS, types.f8[:, :, ::1]))
def merged(parts, rows, begins, ends, out):  # type: ignore[no-untyped-def]
    """The same of groups of groups, ``parts`` (figures, rows) being those of each (Chan et al., 1979)."""
    for group in range(begins.size):
        known, total, least, greatest = 0.0, 0.0, np.inf, -np.inf
        for at in range(begins[group], ends[group]):
            row = rows[at]
            if parts[_KNOWN, row] > 0:
                known += parts[_KNOWN, row]
                total += parts[_TOTAL, row]
                least = min(least, parts[_LEAST, row])
                greatest = max(greatest, parts[_GREATEST, row])
        mean, squares = total / known, 0.0
        for at in range(begins[group], ends[group]):
            row = rows[at]
            if parts[_KNOWN, row] > 0:
                apart = parts[_TOTAL, row] / parts[_KNOWN, row] - mean
                squares += parts[_SQUARES, row] + parts[_KNOWN, row] * apart * apart
        out[0, _KNOWN, group], out[0, _TOTAL, group], out[0, _SQUARES, group] = known, total, squares
        out[0, _LEAST, group] = least if known else np.nan
        out[0, _GREATEST, group] = greatest if known else np.nan
        _derive(out, 0, group, np.nan)


@compiled((_read(types.f8, 2), _read(types.i8), types.f8[:, ::1]))
def in_ticks(parts, figures, out):  # type: ignore[no-untyped-def]
    """The ``figures``, by number, in whole ticks, (figures, groups); ``parts`` has the stored ones."""
    for place in range(figures.size):
        for group in range(parts.shape[1]):
            known, figure = parts[_KNOWN, group], np.nan
            if figures[place] < _STORED:
                figure = parts[figures[place], group]
            elif figures[place] == _MEAN:
                figure = parts[_TOTAL, group] / known
            elif known > 1:
                figure = np.sqrt(parts[_SQUARES, group] / (known - 1))
            out[place, group] = whole_ticks(figure, 1.0)


@compiled((_read(types.i8), types.i8, *_GROUPS))
def different(hashes, unknown, rows, begins, ends):  # type: ignore[no-untyped-def]
    """How many different hashes there are, but for ``unknown``."""
    largest = 1
    for group in range(begins.size):
        largest = max(largest, ends[group] - begins[group])
    seen, counts = np.full(_room(largest), unknown), np.zeros(begins.size)
    for group in range(begins.size):
        # As much of the table as the group needs, so that small ones stay in the cache; left as empty as it was.
        mask, count = _room(ends[group] - begins[group]) - 1, 0
        for at in range(begins[group], ends[group]):
            value = hashes[rows[at]]
            slot = value & mask
            while seen[slot] != unknown and seen[slot] != value:
                slot = (slot + 1) & mask
            count += seen[slot] != value
            seen[slot] = value
        seen[: mask + 1] = unknown
        counts[group] = count
    return counts
