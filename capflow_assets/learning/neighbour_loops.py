"""The loops of ``learning.neighbours``, compiled. Pure.

They are compiled on first use, which takes some seconds, and cached beside this file or in the user's cache until
this file changes. They give up Python's turn, so that threads run side by side, and each row is computed by itself in
one order of sums: its result depends neither on the other rows that are asked about nor on the number of threads.
Import this module inside a function, for its compiler takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types


def _read(kind: Any, axes: int = 1) -> Any:
    return types.Array(kind, axes, "C", readonly=True)


_LONGS, _INTS, _FLOATS = _read(types.i8), _read(types.i4), _read(types.f4)


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a loop for one kind of arguments; without keeping it where there is no place to keep it."""

    def of(loop: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(signature, nogil=True, error_model="numpy", cache=True)(loop)
        except (RuntimeError, OSError):
            return njit(signature, nogil=True, error_model="numpy")(loop)

    return of


@compiled((types.f4[::1], types.i4[::1], types.i8, types.f4, types.i4))
def _push(values, rows, size, value, row):  # type: ignore[no-untyped-def]
    """Put a pair into a heap of ``size`` pairs that keeps the greatest values, of equal ones those of lower rows.

    The worst pair is at the root and goes once the heap is full; returns the new size.
    """
    room = values.size
    if size < room:
        place = size
        while place:
            above = (place - 1) // 2
            if values[above] < value or (values[above] == value and rows[above] > row):
                break
            values[place], rows[place] = values[above], rows[above]
            place = above
        values[place], rows[place] = value, row
        return size + 1
    if value < values[0] or (value == values[0] and row > rows[0]):
        return size
    place = 0
    while True:
        below = 2 * place + 1
        if below >= room:
            break
        other = below + 1
        if other < room and (
            values[other] < values[below] or (values[other] == values[below] and rows[other] > rows[below])
        ):
            below = other
        if value < values[below] or (value == values[below] and row > rows[below]):
            break
        values[place], rows[place] = values[below], rows[below]
        place = below
    values[place], rows[place] = value, row
    return size


@compiled((types.f4[::1], types.i4[::1], types.i8, types.i4[::1], types.f4[::1]))
def _drain(values, rows, size, out, scores):  # type: ignore[no-untyped-def]
    """Write a heap's rows and values out, the best first; -1 and NaN where there are no more."""
    out[:] = -1
    scores[:] = np.nan
    # Sorted by row and then, stably, by value: of equal values the lower row comes first.
    by_row = np.argsort(rows[:size], kind="mergesort")
    kept, numbers = values[:size][by_row], rows[:size][by_row]
    order = np.argsort(-kept, kind="mergesort")
    for place in range(size):
        out[place] = numbers[order[place]]
        scores[place] = kept[order[place]]


@compiled(
    (
        *(_LONGS, _INTS, _FLOATS),
        *(_LONGS, _INTS, _FLOATS),
        *(_INTS, _read(types.f4, 2)),
        *(_LONGS, _LONGS, types.i4[:, ::1]),
    )
)
def nearest(  # type: ignore[no-untyped-def]
    begins, items, values, item_begins, others, other_values, dense_place, dense, asked, own, out
):
    """The others with the greatest product with each row asked about, only above 0; -1 where there are no more.

    ``begins``, ``items`` and ``values`` are the matrix that the rows are asked of. The others are by items:
    ``item_begins``, ``others``, ``other_values``; an item that many have is instead a row of ``dense`` (items, others),
    by ``dense_place`` (or -1). ``own`` (asked,) is which of the others a row is itself, or -1.
    """
    products = np.empty(dense.shape[1], np.float32)
    best = np.empty(out.shape[1], np.float32)
    numbers = np.empty(out.shape[1], np.int32)
    sorted_best = np.empty(out.shape[1], np.float32)
    for place in range(asked.size):
        products[:] = 0
        for at in range(begins[asked[place]], begins[asked[place] + 1]):
            item, value = items[at], values[at]
            if dense_place[item] >= 0:
                column = dense[dense_place[item]]
                for other in range(products.size):
                    products[other] += value * column[other]
            else:
                for near in range(item_begins[item], item_begins[item + 1]):
                    products[others[near]] += value * other_values[near]
        if own[place] >= 0:
            products[own[place]] = 0
        size, least = 0, np.float32(0)
        for other in range(products.size):
            if products[other] > least:
                size = _push(best, numbers, size, products[other], np.int32(other))
                # A later one that is equally near is none of the best.
                least = best[0] if size == best.size else np.float32(0)
        _drain(best, numbers, size, out[place], sorted_best)


@compiled((_LONGS, _INTS, _FLOATS, types.i8, types.f8, types.f8[::1]))
def _add(begins, items, values, row, share, total):  # type: ignore[no-untyped-def]
    """Add a share of a row's values to ``total``."""
    for at in range(begins[row], begins[row + 1]):
        total[items[at]] += share * values[at]


@compiled((types.i8, types.i4[::1], types.f4[::1], _FLOATS, types.b1[::1]))
def _fill(size, out, scores, popularity, is_listed):  # type: ignore[no-untyped-def]
    """Write the first items that are not among the first ``size`` of a list after those, scored below the last."""
    least = scores[size - 1] if size else np.float32(1)
    for place in range(size):
        is_listed[out[place]] = True
    place = size
    for item in range(popularity.size):
        if place == out.size:
            break
        if not is_listed[item]:
            out[place], scores[place] = item, least / 2 * popularity[item]
            place += 1
    for place in range(size):
        is_listed[out[place]] = False


@compiled(
    (
        *(_LONGS, _INTS, _FLOATS),
        *(_LONGS, _read(types.i4, 2), _FLOATS),
        *(types.f8, types.i4[:, ::1], types.f4[:, ::1], types.i4[::1]),
    )
)
def ranked(  # type: ignore[no-untyped-def]
    begins, items, values, asked, neighbours, popularity, own_share, out, scores, scored
):
    """The best items of each row asked about (-1: of none), and their scores; -1 and NaN where there are no more.

    An item scores ``own_share`` of the row's value and the rest of the mean of its neighbours' values; after the
    ``scored`` items that have any the first of the others follow, by their ``popularity``, below the last of those.
    """
    total = np.empty(popularity.size, np.float64)
    is_listed = np.zeros(popularity.size, np.bool_)
    best = np.empty(out.shape[1], np.float32)
    numbers = np.empty(out.shape[1], np.int32)
    for place in range(asked.size):
        near = neighbours[place]
        share = (1 - own_share) / max(1, (near >= 0).sum())
        # To look through all items afterwards is faster than to keep a record of those that are met.
        total[:] = 0
        for other in near:
            if other >= 0 and share > 0:
                _add(begins, items, values, other, share, total)
        if asked[place] >= 0:
            _add(begins, items, values, asked[place], own_share, total)
        size, least = 0, np.float32(0)
        for item in range(total.size):
            score = np.float32(total[item])
            if score > least:
                size = _push(best, numbers, size, score, np.int32(item))
                # A later one of the same score is none of the best.
                least = best[0] if size == best.size else np.float32(0)
        _drain(best, numbers, size, out[place], scores[place])
        _fill(size, out[place], scores[place], popularity, is_listed)
        scored[place] = size


@compiled((_read(types.f4, 2), _LONGS, _INTS, types.i4[:, ::1], types.f4[:, ::1]))
def best(scores, begins, left_out, out, out_scores):  # type: ignore[no-untyped-def]
    """The places of each row's greatest scores above 0, and those scores, without the places that are ``left_out``.

    Those of row r are ``left_out[begins[r]:begins[r + 1]]``. -1 and NaN where there are no more; of equal scores the
    lower place comes first.
    """
    is_left_out = np.zeros(scores.shape[1], np.bool_)
    values = np.empty(out.shape[1], np.float32)
    places = np.empty(out.shape[1], np.int32)
    for row in range(scores.shape[0]):
        own = left_out[begins[row] : begins[row + 1]]
        for place in own:
            is_left_out[place] = True
        size, least = 0, np.float32(0)
        for place in range(scores.shape[1]):
            score = scores[row, place]
            if score > least and not is_left_out[place]:
                size = _push(values, places, size, score, np.int32(place))
                least = values[0] if size == values.size else np.float32(0)
        _drain(values, places, size, out[row], out_scores[row])
        for place in own:
            is_left_out[place] = False
