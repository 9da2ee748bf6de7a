"""Whether a customer is ready for a model, by figures counted by hand, as of different moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from capflow_assets.contract import Needs, Reason
from capflow_assets.life.verdicts import training_verdict
from capflow_assets_tests.life.shop import AS_OF, REGULARS, SHOP, RegularsParams, deployment, reader


def reasons(root: Path, needs: Needs, days_ago: int = 0, horizon_days: int = 30) -> dict[str, Reason]:
    known = reader(deployment(root, replace(REGULARS, needs=needs)))
    verdict = training_verdict(known, RegularsParams(horizon_days=horizon_days), AS_OF - timedelta(days=days_ago))
    return {reason.need: reason for reason in verdict.reasons}


def test_the_figures_by_hand(untrained: Path) -> None:
    """40 users are known on 31 May; in June 20 regulars come and 5 of the others."""
    needs = Needs(tables=("clean/bills",), users=40, positives=25, history_days=100, evidence={"negatives": 15})
    verdict = reasons(untrained, needs)
    assert all(reason.met for reason in verdict.values())
    assert [verdict[need].found for need in ("users", "positives", "negatives")] == [40, 25, 15]


@pytest.mark.parametrize(
    ("needs", "unmet"),
    [
        (Needs(tables=("clean/bills",), users=41), {"users"}),
        (Needs(tables=("clean/bills",), positives=26, users=40), {"positives"}),
        (Needs(tables=("clean/bills",), evidence={"negatives": 16}), {"negatives"}),
        (Needs(tables=("clean/bills",), history_days=178), {"history_days"}),
        (Needs(tables=("clean/bills", "clean/items"), users=41), {"users", "table clean/items"}),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else "",
)
def test_one_more_than_there_is_is_not_met_and_says_what_to_do(untrained: Path, needs: Needs, unmet: set[str]) -> None:
    verdict = reasons(untrained, needs)
    assert {need for need, reason in verdict.items() if not reason.met} == unmet
    assert all(verdict[need].fix for need in unmet)


def test_nothing_after_the_moment_counts(untrained: Path) -> None:
    """30 days earlier the newest horizon is May, in which the 20 regulars came."""
    needs = Needs(tables=("clean/bills",), positives=20, users=40)
    verdict = reasons(untrained, needs, days_ago=30)
    assert (verdict["users"].found, verdict["positives"].found) == (40, 20)


def test_a_feed_that_stopped_is_a_risk_and_no_refusal(untrained: Path) -> None:
    feed = reasons(untrained, Needs(tables=("clean/bills",)), days_ago=-9)["feed"]
    assert (feed.met, feed.found) == (True, 9)
    assert feed.risk == "the newest bill is 9 days old; check the feed"


def test_a_horizon_as_long_as_the_history_leaves_nothing_to_learn_from(untrained: Path) -> None:
    verdict = reasons(untrained, Needs(tables=("clean/bills",), positives=1), horizon_days=120)
    assert not verdict["history_days"].met
    assert verdict["history_days"].needed == 210, "a horizon, and 90 days before it"


def test_without_bills_there_is_nothing_to_ask(untrained: Path) -> None:
    known = reader(deployment(untrained))
    without = replace(known, customer=known.customer.model_copy(update={"tables": {}}))
    verdict = training_verdict(without, RegularsParams(), AS_OF)
    assert not verdict.ready
    assert "clean/bills" in "; ".join(reason.fix for reason in verdict.missing)
    assert without.customer.name == SHOP
