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


def features_at(visits: pd.DataFrame, day: int) -> pd.DataFrame:
    """What lifetime value reads of features/rfm at the end of a day; indexed by ``user_id``."""
    seen = visits[visits["day"] <= day].sort_values(["user_id", "day"])
    by_user = seen.groupby("user_id")
    first, last, count = (by_user["day"].agg(how) for how in ("min", "max", "size"))
    repeat = seen[by_user.cumcount() > 0].groupby("user_id")["amount"].mean()
    known = pd.DataFrame({"recency_days": day - last, "tenure_days": day - first, "visits": count})
    return known.assign(repeat_visit_spend_avg=repeat.reindex(known.index))


def _days(random: np.random.Generator, first: int, rate: float, leave: float) -> list[int]:
    days, now = [first], float(first)
    while True:
        now += random.exponential(1 / rate)
        if now > LAST_DAY:
            return days
        days.append(int(np.ceil(now)))
        if random.random() < leave:
            return days
