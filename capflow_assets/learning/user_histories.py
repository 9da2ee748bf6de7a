"""What the feature blocks say of users' buying, as arrays: one entry per user, weeks and the customer's currency.

A purchase is a local day with a visit, so that two bills of one errand count once. The clock of a user starts at the
first purchase, whatever was brought back before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.learning.frames import matrix

WEEK_DAYS = 7.0


@dataclass(frozen=True)
class UserHistories:
    """``x``, ``t_x`` and ``T`` as in ``purchase_histories``, ``log_gaps`` the sum of a user's logarithms of gaps.

    ``average`` is the spend per repeat visit (null without), ``returned_share`` what came back of all that was paid
    (null where nothing was), ``net`` what was paid less that, ``visits`` counts the first one too.
    """

    visits: np.ndarray
    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    log_gaps: np.ndarray
    average: np.ndarray
    returned_share: np.ndarray
    net: np.ndarray

    @property
    def frequency(self) -> np.ndarray:
        """Purchases a week up to the last one, drawn to the rate of all users as one more purchase at it would."""
        watched, repeats = float(self.T.sum()), float(self.x.sum())
        wait = watched / repeats if repeats > 0 and watched > 0 else 1.0
        return (self.x + 1) / (self.t_x + wait)


def histories_of(columns: pd.DataFrame, *, buyers_only: bool = False) -> UserHistories:
    """The histories of users by columns of features/rfm and features/rhythm.

    A user without a visit, or of whom nothing is known, has bought nothing for no time, as a new one;
    ``buyers_only`` leaves such users out.
    """
    names = ("visits", "recency_days", "gap_days_avg", "gap_days_log_avg")
    money = ("repeat_visit_spend_avg", "spend_total", "returns_total")
    state = matrix(columns, (*names, *money))
    if buyers_only:
        state = state[(state["visits"] > 0) & state["recency_days"].notna()]
    visits, recency, gap, log_gap = (state[name].fillna(0.0).to_numpy() for name in names)
    visits, recency = np.maximum(visits, 0.0), np.maximum(recency, 0.0)
    x = np.maximum(visits - 1, 0.0)
    t_x = np.rint(x * np.maximum(gap, 0.0))
    average, net, returned = (state[name].to_numpy() for name in money)
    paid = np.nan_to_num(net) + np.nan_to_num(returned)
    return UserHistories(
        visits=visits,
        x=x,
        t_x=t_x / WEEK_DAYS,
        T=(t_x + recency) / WEEK_DAYS,
        log_gaps=x * (log_gap - np.log(WEEK_DAYS)),
        average=average,
        returned_share=np.divide(returned, paid, out=np.full(paid.shape, np.nan), where=paid > 0),
        net=np.nan_to_num(net),
    )
