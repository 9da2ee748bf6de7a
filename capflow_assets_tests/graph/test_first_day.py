"""A customer of ten weeks has its rule from the first day, and wherever it is shown it is marked as not judged yet."""

from __future__ import annotations

import pytest

from capflow_assets_doubles.homes import TestHome

RULE = "rfm_segments"


def test_it_answers_and_says_that_it_is_not_judged(bills_only: TestHome) -> None:
    row = bills_only.status("young")[RULE]
    assert (row["status"], row["readiness"], row["champion"]) == ("promoted", "ready", 1)
    assert row["readiness_reason"].startswith("not judged yet: needs 180 days of bills, has ")
    assert row["readiness_reason"] in row["reason"]
    assert (row["metric"], row["value"], row["baseline"]) == ("spend_gini", None, None)
    users = {rows["user_id"] for rows in bills_only.rows("features/rfm", "young")}
    assert {rows["user_id"] for rows in bills_only.rows(f"predictions/{RULE}", "young")} == users


def test_readiness_says_what_judging_waits_for(bills_only: TestHome) -> None:
    rows = {row["need"]: row for row in bills_only.rows("validation/readiness", "young") if row["model"] == RULE}
    waits = rows["judging: history_days"]
    assert (waits["readiness"], waits["needed"], waits["unit"]) == ("ready", 180.0, "days")
    assert {row["readiness"] for row in rows.values()} == {"ready"}


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_its_card_says_so_too(bills_only: TestHome, format: str) -> None:
    card = " ".join(bills_only.ok("explain", "young", RULE, "--format", format).split())
    assert "not judged yet" in card
    assert "a rule that describes needs no outcome" in card
