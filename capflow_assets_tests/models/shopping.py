"""A small world in which BG/NBD and Gamma-Gamma are true, seen as the features and outcomes that models get.

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
    """features/rfm joined with features/rhythm at the end of a day, but for the quintiles; indexed by ``user_id``."""
    seen = visits[visits["day"] <= day].sort_values(["user_id", "day"])
    by_user = seen.groupby("user_id")
    first, last, count = (by_user["day"].agg(how) for how in ("min", "max", "size"))
    repeat = seen[by_user.cumcount() > 0].groupby("user_id")["amount"].mean()
    found = pd.DataFrame({"recency_days": day - last, "tenure_days": day - first, "visits": count, "bills": count})
    for length in (28, 91, 364):
        lately = seen[seen["day"] > day - length].groupby("user_id")["amount"]
        found[f"visits_{length}d"] = lately.size().reindex(found.index, fill_value=0)
        found[f"spend_{length}d"] = lately.sum().reindex(found.index, fill_value=0.0)
    found = found.drop(columns="spend_28d")
    found["spend_total"], found["spend_avg"] = by_user["amount"].sum(), by_user["amount"].mean()
    found["repeat_visit_spend_avg"] = repeat.reindex(found.index)
    return found.join(_rhythm(seen, found["recency_days"]))


def outcomes(visits: pd.DataFrame, start: int, end: int, users: pd.Index) -> pd.DataFrame:
    """What each of ``users`` did in ``(start, end]``: ``purchases``, ``spend``, ``bought``; zeros where nothing."""
    seen = visits[(visits["day"] > start) & (visits["day"] <= end)].groupby("user_id")["amount"]
    found = pd.DataFrame({"purchases": seen.size(), "spend": seen.sum()}).reindex(users).fillna(0.0)
    return found.assign(bought=(found["purchases"] > 0).astype(float))


def examples(visits: pd.DataFrame, horizon: int, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features with ``moment`` and outcomes of ``count`` moments whose horizons end before the test's begins."""
    test = LAST_DAY - horizon
    frames, labels = [], []
    for moment in range(count):
        day = test - (count - moment) * horizon
        frames.append(features_at(visits, day).assign(moment=moment))
        labels.append(outcomes(visits, day, day + horizon, frames[-1].index))
    return pd.concat(frames), pd.concat(labels)


def _days(random: np.random.Generator, first: int, rate: float, leave: float) -> list[int]:
    days, now = [first], float(first)
    while True:
        now += random.exponential(1 / rate)
        if now > LAST_DAY:
            return days
        days.append(int(np.ceil(now)))
        if random.random() < leave:
            return days


def _rhythm(seen: pd.DataFrame, recency_days: pd.Series) -> pd.DataFrame:
    gaps = seen.assign(gap=seen.groupby("user_id")["day"].diff()).dropna(subset="gap").groupby("user_id")["gap"]
    average, recent = gaps.mean(), gaps.apply(lambda each: each.tail(3).mean())
    found = pd.DataFrame(
        {
            "gap_days_avg": average,
            "gap_days_std": gaps.std(),
            "gap_days_last": gaps.last(),
            "gap_days_recent_avg": recent,
            "gap_change_pct": (recent - average) / average * 100,
        }
    ).reindex(recency_days.index)
    return found.assign(overdue_ratio=recency_days / found["gap_days_avg"])
