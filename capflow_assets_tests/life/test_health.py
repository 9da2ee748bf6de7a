"""Health: the drift of a scoring by hand, kept as a history in which the same scoring stands once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.life.health import watch
from capflow_assets.life.reference import with_ages_of
from capflow_assets.life.scoring import Scored, score
from capflow_assets.monitoring.drift import EPSILON
from capflow_assets_tests.life.shop import AS_OF, MODEL, SHOP, deployment, reader

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def scored(trained_shop: Path) -> Scored:
    place = deployment(trained_shop)
    scoring = score(place, reader(place), AS_OF)
    assert scoring is not None
    return scoring


def history(root: Path) -> list[tuple[int, str, float, bool]]:
    rows = deployment(root).lake.arrow(SHOP, f"health/{MODEL}").to_pylist()
    return sorted((row["model_version"], row["column"], row["psi"], row["is_over"]) for row in rows)


def test_the_training_population_has_not_drifted(trained_shop: Path, scored: Scored) -> None:
    place = deployment(trained_shop)
    health = watch(place, reader(place), scored)
    assert (health.champion, health.psi_max, health.is_over) == (1, 0.0, False)
    assert health.threshold == place.customer(SHOP).retraining.psi
    assert health.plot.startswith(b"\x89PNG")
    assert history(trained_shop) == [(1, "score", 0.0, False), (1, "visits", 0.0, False)]


def test_drift_by_hand(trained_shop: Path, scored: Scored) -> None:
    """Of 41 users, 16 had one visit, 5 two, 20 six; now all have one. A share of nothing counts as ``EPSILON``."""
    shares = (16 / 41, 1.0), (5 / 41, EPSILON), (20 / 41, EPSILON)
    psi = sum((now - then) * math.log(now / then) for then, now in shares)
    place = deployment(trained_shop)
    examples = replace(scored.examples, columns=scored.examples.columns.assign(visits=1))
    health = watch(place, reader(place), replace(scored, examples=examples))
    assert health.worst == "visits"
    assert health.psi_max == pytest.approx(psi)
    assert health.is_over
    assert history(trained_shop) == [(1, "score", 0.0, False), (1, "visits", pytest.approx(psi), True)]


def test_the_same_scoring_replaces_itself_and_another_is_added(trained_shop: Path, scored: Scored) -> None:
    place = deployment(trained_shop)
    for health in (scored, scored, replace(scored, champion=2), replace(scored, as_of=AS_OF + timedelta(days=1))):
        watch(place, reader(place), health)
    assert [(version, column) for version, column, _, _ in history(trained_shop)] == [
        (1, "score"),
        (1, "score"),
        (1, "visits"),
        (1, "visits"),
        (2, "score"),
        (2, "visits"),
    ]


def test_ages_are_held_against_those_of_the_training_day(untrained: Path) -> None:
    """Who first came 43 days before the training did so 50 days ago a week later. Days since a visit are no age."""
    known = reader(deployment(untrained))
    columns = known.columns(AS_OF).assign(recency_days=10, tenure_days=50)
    state = with_ages_of(AS_OF, known, columns, AS_OF + timedelta(days=7))
    assert set(state["tenure_days"]) == {43}
    assert set(state["recency_days"]) == {10}
    assert state["visits"].equals(columns["visits"])


def test_a_history_of_an_earlier_release_goes_on(trained_shop: Path, scored: Scored, spark: SparkSession) -> None:
    """It had the index alone; the columns that it lacks are null in its rows."""
    place = deployment(trained_shop)
    old = [(AS_OF - timedelta(days=7), 1, "visits", 0.1, 0.25, False)]
    schema = "as_of timestamp, model_version int, column string, psi double, threshold double, is_over boolean"
    place.lake.write(spark.createDataFrame(old, schema), SHOP, f"health/{MODEL}")
    watch(place, reader(place), scored)
    rows = place.lake.arrow(SHOP, f"health/{MODEL}").to_pylist()
    assert len(rows) == 3
    assert {row["fill_now_pct"] for row in rows if row["as_of"] == old[0][0]} == {None}
    assert {row["fill_now_pct"] for row in rows if row["as_of"] != old[0][0]} == {100.0}


def test_a_feed_that_stops_is_named_and_nothing_is_to_be_trained(trained_shop: Path, scored: Scored) -> None:
    place = deployment(trained_shop)
    health = watch(place, reader(place), replace(scored, as_of=AS_OF + timedelta(days=40)))
    assert (health.decision.action, health.decision.cause) == ("fix the feed", "feed")
    assert health.decision.reason == "the newest bill is 40 days old. Nothing is trained on that."
    assert watch(place, reader(place), scored).decision.action == "none"
