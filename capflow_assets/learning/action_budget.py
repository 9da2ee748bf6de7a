"""One action per user within a budget.

Where all users are asked about at once, those with the highest net gain get it, to the last action. Of a part of them
an answer depends on the user alone: by the price that the budget puts on an action, which is learned once, the net gain
that the share of users who may get an action exceeds. In no case are there more actions than the budget allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pandas as pd

LEVELS = 1001


def levels_of(values: np.ndarray) -> np.ndarray:
    """The quantiles of finite values, by which a later value's place among them is known."""
    finite = values[np.isfinite(values)]
    return np.quantile(finite, np.linspace(0, 1, LEVELS)) if len(finite) else np.zeros(LEVELS)


def price(levels: np.ndarray, share: float) -> float:
    """The net gain above which the best ``share`` lie; never below 0, since no action is worth a loss, and 0 where all
    may get one.

    >>> price(levels_of(np.array([1.0, 2.0, 3.0, 4.0, -5.0])), 0.5), price(levels_of(np.array([-1.0, 1.0])), 1.0)
    (2.0, 0.0)
    """
    return 0.0 if share >= 1 else max(0.0, float(np.quantile(levels, 1 - share)))


def places(values: np.ndarray, levels: np.ndarray, lots: np.ndarray) -> np.ndarray:
    """The share of earlier values that lie below each value, 0 to 1; ties by the ``lots``, what is unknown by 0.

    >>> places(np.array([1.0, 9.0, np.nan]), np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.5])).tolist()
    [0.25, 1.0, 0.0]
    """
    known = np.where(np.isfinite(values), values, -np.inf)
    left, right = (np.searchsorted(levels, known, side=side) for side in ("left", "right"))
    return np.asarray((left + lots * (right - left)) / len(levels))


def lots_of(users: pd.Index) -> np.ndarray:
    """A number of each user, 0 to 1, that is the same everywhere."""
    return np.array([crc32(str(user).encode()) for user in users], dtype=float) / 2**32


def most_users(share: float, actions: int | None, users: int) -> int:
    """How many users may get an action.

    >>> most_users(0.3, None, 10), most_users(0.3, 2, 10)
    (3, 2)
    """
    by_share = int(np.floor(share * users + 1e-9))
    return by_share if actions is None else min(by_share, actions)


def within(gain: np.ndarray, is_chosen: np.ndarray, most: int, users: pd.Index) -> np.ndarray:
    """Those of the chosen with the highest gain, ``most`` of them; of equal ones those whose name comes first.

    >>> within(np.array([1.0, 3.0, 2.0]), np.array([True, True, True]), 2, pd.Index(["a", "b", "c"])).tolist()
    [False, True, True]
    """
    if is_chosen.sum() <= most:
        return is_chosen
    order = np.lexsort([pd.factorize(users, sort=True)[0], -gain, ~is_chosen])
    kept = np.zeros_like(is_chosen)
    kept[order[:most]] = True
    return kept


def ahead(campaigns: pd.DataFrame, moment: object) -> list[str]:
    """The campaigns that run at a moment or begin next; where there is none, the newest that began.

    ``campaigns`` has ``campaign_id``, ``starts_at`` and ``ends_at``; see ``campaign_groups.campaigns_ahead``.

    >>> days = pd.to_datetime(["2024-01-01", "2024-03-01", "2024-03-01", "2024-05-01"], utc=True)
    >>> ahead(pd.DataFrame({"campaign_id": list("abcd"), "starts_at": days, "ends_at": days}), days[0])
    ['b', 'c']
    >>> ahead(pd.DataFrame({"campaign_id": list("abcd"), "starts_at": days, "ends_at": days}), days[3])
    ['d']
    """
    now = pd.Timestamp(moment)  # type: ignore[arg-type]
    starts, ends = (pd.to_datetime(campaigns[name], utc=True) for name in ("starts_at", "ends_at"))
    later = starts > now
    is_running = (starts <= now) & (ends.isna() | (ends > now))
    chosen = is_running | (later & (starts == starts[later].min()))
    if not chosen.any():
        chosen = starts == starts.max()
    return _ids(campaigns.loc[chosen, "campaign_id"])


def _ids(column: Sequence[object] | pd.Series) -> list[str]:
    return sorted({str(cell).strip() for cell in column if cell is not None})
