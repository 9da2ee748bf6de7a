"""The bins of days, visits and amounts in which reports count, and what each bin is called."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

# The least value of each bin; the last one has no end. Weeks and months of four weeks, as in retail calendars.
RECENCY_DAYS = (0, 7, 14, 28, 56, 91, 182, 364)
GAP_DAYS = (1, 2, 4, 8, 15, 29, 57, 92, 183)
VISITS = (1, 2, 3, 4, 5, 10, 20)
# Any currency fits on steps of 1, 2 and 5.
AMOUNTS = (0, *(step * 10**power for power in range(6) for step in (1, 2, 5)), 1_000_000)
LINE_ITEMS = (0, 1, 2, 3, 4, 5, 6, 11, 21, 51, 101)


def bin_names(edges: Sequence[int]) -> list[str]:
    """What each bin is called.

    >>> bin_names((1, 2, 5, 10))
    ['1', '2-4', '5-9', '10+']
    """
    inner = [f"{low}" if high == low + 1 else f"{low}-{high - 1}" for low, high in pairwise(edges)]
    return [*inner, f"{edges[-1]}+"]


def amount_bin_names(edges: Sequence[int]) -> list[str]:
    """What each bin of amounts is called; the first one is before the first edge.

    >>> amount_bin_names((0, 1, 2, 1000))
    ['under 0', '0 to 1', '1 to 2', '2 to 1,000', '1,000+']
    """
    inner = [f"{low:,} to {high:,}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:,}", *inner, f"{edges[-1]:,}+"]
