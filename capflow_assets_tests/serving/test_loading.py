"""Which models answer live from features that are given, and why the others do not."""

from __future__ import annotations

from capflow_assets.definitions import STAGES
from capflow_assets.serving.loading import why_not_live

LIVE = {
    "behaviour_segments",
    "churn",
    "contact_fatigue",
    "lifecycle_stage",
    "lifetime_value",
    "next_purchase_date",
    "purchase_propensity",
    "rfm_segments",
    "second_purchase",
    "spend_forecast",
    "spend_tier_upgrade",
    "winback",
}


def test_scores_of_users_that_read_nothing_but_their_rows_are_live_whoever_is_asked_about():
    reasons = {name: why_not_live(spec, STAGES) for name, spec in STAGES.models.items()}
    assert {name for name, reason in reasons.items() if not reason} == LIVE
    assert reasons["next_basket"] == "it answers with a list"
    assert reasons["campaign_response"] == "it is about a user and campaign"
    assert reasons["next_best_action"] == "it is asked when something begins, as of that moment"
    assert reasons["lookalike_audience"] == "it reads whole tables: clean/users"
