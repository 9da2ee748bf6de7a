"""Why a user is expected to be worth so much, in words that a marketer can check against the user's bills."""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.learning.explanations import singular
from capflow_assets.learning.user_histories import WEEK_DAYS, UserHistories

# A smaller share that came back is not told.
LEAST_RETURNED = 0.01


def reasons_of(histories: UserHistories, figures: pd.DataFrame, horizon_days: int) -> list[str]:
    """One text per user: the visits of the past and what came back, then the visits and spend that are expected."""
    expected = figures["expected_purchases"], figures["expected_spend"] * (1 - figures["returned_share"])
    ahead = [
        f"{count:.2f} visits of {value:,.2f} expected in {horizon_days} days"
        for count, value in zip(*expected, strict=True)
    ]
    days = (histories.T - histories.t_x) * WEEK_DAYS
    past = [
        _past(*user) for user in zip(histories.visits, days, figures["p_alive"], histories.returned_share, strict=True)
    ]
    return [singular(f"{before}; {after}") for before, after in zip(past, ahead, strict=True)]


def _past(visits: float, days: float, alive: float, returned: float) -> str:
    back = (
        f"; {min(returned, 1.0):.0%} of it brought back" if np.isfinite(returned) and returned >= LEAST_RETURNED else ""
    )
    if visits < 1:
        return "no visit yet"
    if visits < 2:
        return f"one visit, {days:.0f} days ago{back}"
    return (
        f"visits after the first: {visits - 1:.0f}, the last {days:.0f} days ago{back}; {alive:.0%} likely to be active"
    )
