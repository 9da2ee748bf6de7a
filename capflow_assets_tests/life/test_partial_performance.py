"""Half-grown outcomes by hand: answers of 31 May, looked at on 20 June, when ten days of their horizon are to come.

So far the twenty regulars came on the 10th and five of the twenty others on the 15th. Of the four horizons that are
over the newest had 20 of 40 by its twentieth day and 25 in all, ``log(0.5) / log(0.375)`` of it; of the others all had
come. Bills of nobody on some days say that the feed goes on.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from math import log
from pathlib import Path

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from capflow_assets.deployment import Deployment
from capflow_assets.life.health import watch
from capflow_assets.life.partial_performance import PartialAnswers, partial_answers
from capflow_assets.life.renewal import Renewal, renew
from capflow_assets.life.scoring import score
from capflow_assets.life.scoring_history import scoring_rows
from capflow_assets.monitoring.arrivals import LandingDelay
from capflow_assets_tests.life.shop import (
    AS_OF,
    MODEL,
    REGULARS,
    SHOP,
    TEST_MOMENT,
    RegularsParams,
    deployment,
    reader,
)

NOW = TEST_MOMENT + timedelta(days=20)
PART = (log(0.5) / log(0.375) + 3) / 4


@pytest.fixture(scope="module")
def answered_once(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a champion of 31 May that answered then. Do not change it."""
    root = Path(shutil.copytree(untrained, tmp_path_factory.mktemp("answered") / "home"))
    place = deployment(root)
    bills = place.lake.table(SHOP, "clean/bills")
    nobody = [of_nobody(bills, TEST_MOMENT + timedelta(days=days, hours=-1)) for days in (5, 20, 21)]
    place.lake.write(reduce(DataFrame.unionByName, nobody, bills), SHOP, "clean/bills")
    renew(place, reader(place), RegularsParams(), TEST_MOMENT, Renewal())
    # By a person: who never errs has an interval of no width.
    place.registry.promote(SHOP, MODEL, 1, "by hand")
    assert score(place, reader(place), TEST_MOMENT) is not None
    return root


def of_nobody(bills: DataFrame, at: datetime) -> DataFrame:
    """The bill of nobody on 30 June, at another time."""
    columns = {"billed_at": F.lit(at), "billed_on": F.lit(at.date()), "bill_id": F.lit(f"of {at}")}
    return bills.filter("is_anonymous").limit(1).withColumns(columns)


@pytest.fixture
def place(answered_once: Path, tmp_path: Path) -> Deployment:
    return deployment(Path(shutil.copytree(answered_once, tmp_path / "home")))


def so_far(place: Deployment, days: int = 20, delay: int = 0) -> PartialAnswers | str:
    report = place.registry.report(SHOP, MODEL, 1)
    return partial_answers(
        place, reader(place), TEST_MOMENT + timedelta(days=days), 1, report, LandingDelay(days=delay)
    )


def expected_area() -> float:
    """Of the others a quarter has come; ``1 - 0.75 ** (1 / PART)`` of them will. They are ties among themselves."""
    coming = 20 * (1 - 0.75 ** (1 / PART))
    staying = 20 - coming
    return (20 * staying + coming * staying / 2) / ((20 + coming) * staying)


def test_what_has_come_counts_by_how_earlier_horizons_grew(place: Deployment) -> None:
    answers = so_far(place)
    assert isinstance(answers, PartialAnswers)
    assert answers.as_of == TEST_MOMENT
    assert answers.live.value == pytest.approx(expected_area())
    assert answers.live.is_partial
    assert answers.live.low < answers.live.value < answers.live.high
    assert answers.come_pct == pytest.approx(100 * 25 / (20 + 20 * (1 - 0.75 ** (1 / PART))))


def stays_away(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Who was there before and does not come in the horizon."""
    before = bills.filter((F.col("billed_at") <= F.lit(start)) & F.col("user_id").isNotNull())
    later = bills.filter((F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end)))
    silent = before.select("user_id").distinct().join(later.select("user_id"), "user_id", "left_anti")
    return silent.select("user_id", F.lit(1.0).alias("bought"))


def test_of_what_a_visit_takes_back_the_visits_count(answered_once: Path) -> None:
    """The scores rank who stays away the wrong way round, as far as they rank who comes the right way."""
    away = replace(REGULARS, outcome=replace(REGULARS.outcome, compute=stays_away))
    returning, stayed = so_far(deployment(answered_once)), so_far(deployment(answered_once, away))
    assert isinstance(returning, PartialAnswers)
    assert isinstance(stayed, PartialAnswers)
    assert stayed.live.value == pytest.approx(1 - expected_area())
    assert stayed.come_pct == pytest.approx(returning.come_pct)


def test_nothing_after_now_is_read(place: Deployment) -> None:
    """Everybody comes on 21 June; the day before nothing of that is known. Once bills land a day late, nor then."""
    before = so_far(place)
    bills = place.lake.table(SHOP, "clean/bills")
    later = TEST_MOMENT + timedelta(days=20, hours=18)
    future = bills.filter("billed_at < '2024-01-06'").withColumns(
        {
            "billed_at": F.lit(later),
            "billed_on": F.lit(later.date()),
            "bill_id": F.concat(F.lit("f"), F.col("bill_id")),
        }
    )
    place.lake.write(bills.unionByName(future), SHOP, "clean/bills")
    assert so_far(place) == before
    assert so_far(place, days=21) != before
    assert so_far(place, days=21, delay=1) == before


def test_it_is_kept_in_a_row_that_says_so_until_the_horizon_is_over(place: Deployment) -> None:
    for moment in (NOW, AS_OF):
        scored = score(place, reader(place), moment)
        assert scored is not None
        watch(place, reader(place), scored)
    partial, over = scoring_rows(place.lake, SHOP, MODEL)
    assert (partial["live"], partial["partial"]) == (None, pytest.approx(expected_area()))
    assert (partial["partial_as_of"], partial["promised"]) == (TEST_MOMENT, pytest.approx(1.0))
    assert (over["live"], over["partial"], over["partial_as_of"]) == (pytest.approx(0.9), None, None)


def test_it_says_why_it_says_nothing(place: Deployment, answered_once: Path) -> None:
    assert str(so_far(place, days=5)).startswith("too little has come of it so far")
    assert so_far(place, days=0) == ""
    unknown = replace(REGULARS, outcome=replace(REGULARS.outcome, absent="unknown"))
    assert so_far(deployment(answered_once, unknown)) == "", "who does not come says nothing there"
