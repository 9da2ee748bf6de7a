"""A small world in which BG/NBD and Gamma-Gamma are true, seen as the features that models get.

Users arrive over a year, buy at a rate drawn from a Gamma, leave after a purchase with a chance drawn from a Beta, and
spend around a mean of their own. Days are whole numbers; a user shops at most once a day.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

LAST_DAY = 600
RATE, LEAVE = (0.9, 18.0), (0.6, 3.0)


def shop(users: int = 2_500, seed: int = 0) -> pd.DataFrame:
    """One row per user and day with a visit: ``user_id``, ``day``, ``amount``."""
    random = np.random.default_rng(seed)
    first = random.integers(0, 400, users)
    rate = random.gamma(RATE[0], 1 / RATE[1], users)
    leave = random.beta(*LEAVE, users)
    mean_spend = 15.0 / random.gamma(3.7, 1 / 6.25, users)
    rows = [(user, day) for user in range(users) for day in _days(random, first[user], rate[user], leave[user])]
    visits = pd.DataFrame(rows, columns=["user", "day"]).drop_duplicates(ignore_index=True)
    spend = mean_spend[visits["user"]] * random.gamma(6.25, 1 / 6.25, len(visits))
    return pd.DataFrame(
        {"user_id": visits["user"].map("u{:05d}".format), "day": visits["day"], "amount": spend.round(2) + 0.01}
    )


def features_at(bills: pd.DataFrame, day: int) -> pd.DataFrame:
    """What lifetime value reads of features/rfm and features/rhythm at the end of a day; indexed by ``user_id``.

    An amount below 0 was brought back, and its day is no visit for it.
    """
    seen = bills[bills["day"] <= day]
    days = seen[seen["amount"] >= 0].groupby(["user_id", "day"], as_index=False)["amount"].sum()
    by_user = days.groupby("user_id")
    gaps = by_user["day"].diff().dropna()
    of_gaps = gaps.groupby(days["user_id"]).mean(), np.log(gaps).groupby(days["user_id"]).mean()
    users = pd.Index(seen["user_id"].unique()).sort_values().rename("user_id")
    columns = {
        "recency_days": day - by_user["day"].max(),
        "visits": by_user.size().reindex(users, fill_value=0),
        "repeat_visit_spend_avg": days[by_user.cumcount() > 0].groupby("user_id")["amount"].mean(),
        "spend_total": seen.groupby("user_id")["amount"].sum(),
        "returns_total": -seen["amount"].clip(upper=0).groupby(seen["user_id"]).sum(),
        "gap_days_avg": of_gaps[0],
        "gap_days_log_avg": of_gaps[1],
    }
    return pd.DataFrame({name: values.reindex(users) for name, values in columns.items()}).astype(float)


def _days(random: np.random.Generator, first: int, rate: float, leave: float) -> list[int]:
    days, now = [first], float(first)
    while True:
        now += random.exponential(1 / rate)
        if now > LAST_DAY:
            return days
        days.append(int(np.ceil(now)))
        if random.random() < leave:
            return days
