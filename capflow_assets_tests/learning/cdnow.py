"""The 1/10 sample of CDNOW, read as a file of a wheel whose code is never imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

CALIBRATION_END = pd.Timestamp("1997-09-30")


def purchase_days() -> pd.DataFrame:
    """One row per user and day with a purchase: ``user_id``, ``day``, ``spend``."""
    spec = find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt"
    names = ["master_id", "user_id", "day", "quantity", "spend"]
    rows = pd.read_csv(file, sep=r"\s+", header=None, names=names, dtype={"day": str, "user_id": str})
    rows["day"] = pd.to_datetime(rows["day"], format="%Y%m%d")
    return rows.groupby(["user_id", "day"], as_index=False)["spend"].sum()


def histories(days: pd.DataFrame, end: pd.Timestamp = CALIBRATION_END) -> pd.DataFrame:
    """One row per user: ``x``, ``t_x``, ``T`` in weeks and ``spend``, the mean of repeat days (null without)."""
    seen = days[days["day"] <= end]
    first = seen.groupby("user_id")["day"].transform("min")
    spans = seen.groupby("user_id")["day"].agg(first="min", last="max", count="size")
    return pd.DataFrame(
        {
            "x": spans["count"] - 1,
            "t_x": (spans["last"] - spans["first"]).dt.days / 7,
            "T": (end - spans["first"]).dt.days / 7,
            "spend": seen[seen["day"] > first].groupby("user_id")["spend"].mean(),
        }
    )
