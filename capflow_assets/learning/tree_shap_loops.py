"""The loop of ``learning.tree_shap``, compiled. Pure; see ``learning.neighbour_loops`` for how and when."""

from __future__ import annotations

import numpy as np
from numba import types

from capflow_assets.learning.neighbour_loops import compiled

# So many rows' values, sums and conditions fit into a processor's nearest cache.
BLOCK = 256


@compiled(
    (
        *(types.Array(types.f4, 2, "C", readonly=True), types.Array(types.i8, 1, "C", readonly=True)),
        *(types.Array(types.i4, 1, "C", readonly=True), types.Array(types.f4, 1, "C", readonly=True)),
        *(types.Array(types.f4, 1, "C", readonly=True), types.Array(types.b1, 1, "C", readonly=True)),
        *(types.Array(types.i8, 1, "C", readonly=True), types.Array(types.f4, 1, "C", readonly=True)),
        types.f4[:, ::1],
    )
)
def add_contributions(values, begins, columns, lows, highs, missing, table_begins, table, out):  # type: ignore[no-untyped-def]
    """Add to ``out`` (columns, rows) what each leaf gives to each column of its path.

    The conditions of leaf ``l`` are those from ``begins[l]`` to ``begins[l + 1]``: a column's value lies from its low
    up to but not including its high, or is NaN where ``missing`` says so. For each of them the leaf's table has an
    entry for each combination of conditions that are met, the first one counting 1, the next 2, and so on.
    """
    rows = values.shape[1]
    met = np.empty(BLOCK, np.int32)
    for begin in range(0, rows, BLOCK):
        size = min(BLOCK, rows - begin)
        for leaf in range(begins.size - 1):
            first, conditions = begins[leaf], begins[leaf + 1] - begins[leaf]
            met[:] = 0
            for place in range(conditions):
                at = first + place
                column, low, high = values[columns[at], begin : begin + size], lows[at], highs[at]
                bit = np.int32(1 << place)
                if missing[at]:  # a comparison with NaN is never true
                    for row in range(size):
                        met[row] += bit * np.int32(not ((column[row] < low) | (column[row] >= high)))
                else:
                    for row in range(size):
                        met[row] += bit * np.int32((column[row] >= low) & (column[row] < high))
            combinations = 1 << conditions
            for place in range(conditions):
                entry = table_begins[leaf] + place * combinations
                share = table[entry : entry + combinations]
                total = out[columns[first + place], begin : begin + size]
                for row in range(size):
                    total[row] += share[met[row]]
