"""Users who come once: the world beside them is the same, row by row."""

from __future__ import annotations

import pandas as pd

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import simulate


def test_those_who_pass_by_change_nothing_for_the_others_and_buy_what_is_reduced_once() -> None:
    dials = {"users": 300, "duplicates_pct": 2, "late_rows_pct": 5, "anomalies": 2}
    plain, crowded = (simulate(tiny("shop", seed=3, one_time_users=count, **dials)) for count in (0, 200))
    passing = ~crowded.users["user_id"].isin(plain.users["user_id"])
    names = crowded.users["user_id"][passing]
    assert len(names) == 200
    for table in ("bills", "line_items", "users"):
        rows = getattr(crowded, table)
        others = rows[~rows["user_id"].isin(names)].reset_index(drop=True)
        pd.testing.assert_frame_equal(others, getattr(plain, table))
    theirs = crowded.bills[crowded.bills["user_id"].isin(names)]
    planned = crowded.dirt.set_index("bill_id")
    pd.testing.assert_frame_equal(planned.drop(index=theirs["bill_id"]).reset_index(), plain.dirt)
    assert (planned.loc[theirs["bill_id"], "known_at"] == theirs["billed_at"].to_numpy()).all()
    assert theirs["user_id"].is_unique
    assert len(theirs) == 200
    assert theirs["billed_at"].max() < crowded.end
    lines = crowded.line_items[crowded.line_items["user_id"].isin(names)]
    assert (lines["discount"] > 0).all()
    sums = lines.groupby("bill_id")[["amount", "discount", "quantity"]].sum().round(2)
    pd.testing.assert_frame_equal(sums, theirs.set_index("bill_id")[["amount", "discount", "quantity"]])
    pd.testing.assert_frame_equal(plain.truth.users, crowded.truth.users)
