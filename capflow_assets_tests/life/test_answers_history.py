"""Answers of every shape are kept by moment, replace themselves, are found again as of a moment, and go in time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Answer, Column, Model, Subject
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.home.places import Home
from capflow_assets.life import answers_history
from capflow_assets.life.answers_history import AFTER_HORIZON_DAYS, keep
from capflow_assets.stores.moments import moments
from capflow_assets_doubles.homes import TestHome

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHOP, NAME, TABLE = "shop", "visits", "answers/visits"
HORIZON_DAYS = 28
AS_OF = datetime(2024, 6, 30, 21, 59, 59, 999999, tzinfo=UTC)
LATER = AS_OF + timedelta(days=7)
TOML = """
name = "shop"
vertical = "footwear"
currency = "EUR"
time_zone = "Europe/Madrid"
[tables.bills]
source = "csv"
location = "s3://shop/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""
# Before any moment that is answered for.
TRAINED_AS_OF = datetime(2020, 1, 1, tzinfo=UTC)
BASE: Model[Any] = STAGES.model("rfm_segments").model
SCORE = replace(BASE, answer=Answer())
LIST = replace(BASE, answer=Answer(per=("item_id",)))
FORECAST = (Column("bills", "double", "Bills."), Column("method", "string", "Of the forecast."))
SERIES = replace(
    BASE, subject=Subject("store", ("store_id",)), answer=Answer(per=("day",), columns=FORECAST, ranked_by=None)
)
EFFECT = replace(BASE, subject=Subject("user and campaign", ("user_id", "campaign_id")), answer=Answer())
VECTOR = replace(BASE, answer=Answer(columns=(Column("first", "double", "Of two."),), ranked_by=None))
# The rows of the predictions of each shape, without model_version and as_of.
SCORES = ("user_id string, score double, percentile double, decile int, band string, reasons string", [
    ("u1", 0.25, 50.0, 5, "low", "lately here"),
    ("u2", None, None, None, None, ""),
])  # fmt: skip
LISTS = ("user_id string, item_id string, rank int, score double, reasons string", [
    ("u1", "milk", 1, 0.5, "often"),
    ("u1", "bread", 2, 0.25, "often"),
    ("u2", "milk", 1, 0.125, "others do"),
])  # fmt: skip
DAYS = ("store_id string, day date, bills double, method string", [
    ("s1", date(2024, 7, 1), 10.5, "naive"),
    ("s1", date(2024, 7, 2), 11.0, "naive"),
])  # fmt: skip
EFFECTS = ("user_id string, campaign_id string, score double, reasons string", [("u1", "c1", -0.5, "")])


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose model has a version with a horizon of 28 days. Do not change it."""
    root = tmp_path_factory.mktemp("registered") / "home"
    (root / "customers").mkdir(parents=True)
    (root / "customers" / f"{SHOP}.toml").write_text(TOML)
    report = {"as_of": TRAINED_AS_OF.isoformat(), "horizon_days": HORIZON_DAYS, "params": {}}
    opened(root, SCORE).registry.register(SHOP, NAME, b"estimator", report, {})
    return root


@pytest.fixture
def home(registered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(registered, tmp_path / "home"))


def opened(root: Path, model: Model[Any]) -> Deployment:
    spec = replace(STAGES.model("rfm_segments"), name=NAME, model=model)
    return Deployment(Home.of(root, {}), replace(STAGES, models={NAME: spec}), SOURCES, Engine())


def predict(
    place: Deployment, spark: SparkSession, schema: str, rows: list[tuple[Any, ...]], as_of: datetime, version: int = 1
) -> None:
    """Write predictions as a scoring does, and keep them; ``version`` is the one beside the rows."""
    schema = f"{schema}, model_version int, as_of timestamp"
    frame = spark.createDataFrame([(*row, version, as_of) for row in rows], schema)
    place.lake.write(frame, SHOP, f"predictions/{NAME}")
    keep(place, place.customer(SHOP), NAME, 1, as_of)


def scores(*pairs: tuple[str, float]) -> list[tuple[Any, ...]]:
    return [(user, score, 50.0, 5, "low", "") for user, score in pairs]


@pytest.mark.parametrize(
    ("model", "schema", "rows", "columns"),
    [
        (SCORE, *SCORES, ["user_id", "score"]),
        (LIST, *LISTS, ["user_id", "item_id", "score"]),
        (SERIES, *DAYS, ["store_id", "day", "bills"]),
        (EFFECT, *EFFECTS, ["user_id", "campaign_id", "score"]),
    ],
    ids=["score", "list", "series", "effect"],
)
def test_answers_of_every_shape_are_kept_as_they_were_given(
    home: Path, spark: SparkSession, model: Model[Any], schema: str, rows: list[tuple[Any, ...]], columns: list[str]
) -> None:
    place = opened(home, model)
    predict(place, spark, schema, rows, AS_OF, version=7)
    kept = place.lake.arrow(SHOP, TABLE).drop_columns("moment")
    assert kept.column_names == [*columns, "model_version", "as_of"]
    names = [part.split()[0] for part in schema.split(", ")]
    given = [dict(zip(names, row, strict=True)) | {"model_version": 7, "as_of": AS_OF} for row in rows]
    assert kept.to_pylist() == [{name: row[name] for name in kept.column_names} for row in given]
    again = answers_history.as_of(place.lake, SHOP, NAME, AS_OF)
    assert again is not None
    assert again.columns == kept.column_names
    assert again.count() == len(rows)


def test_vectors_are_not_kept(home: Path, spark: SparkSession) -> None:
    place = opened(home, VECTOR)
    predict(place, spark, "user_id string, first double", [("u1", 0.5)], AS_OF)
    assert VECTOR.kept_columns == ()
    assert not place.lake.exists(SHOP, TABLE)
    assert answers_history.as_of(place.lake, SHOP, NAME, AS_OF) is None


def test_the_same_night_again_replaces_itself_and_a_moment_finds_what_was_given_before_it(
    home: Path, spark: SparkSession
) -> None:
    place, schema = opened(home, SCORE), SCORES[0]
    predict(place, spark, schema, scores(("u1", 0.1), ("u2", 0.2)), AS_OF)
    predict(place, spark, schema, scores(("u1", 0.5)), LATER)
    predict(place, spark, schema, scores(("u3", 0.3)), AS_OF, version=2)

    def given(moment: datetime) -> list[tuple[Any, ...]] | None:
        frame = answers_history.as_of(place.lake, SHOP, NAME, moment)
        return None if frame is None else [tuple(row)[:3] for row in frame.collect()]

    assert given(AS_OF - timedelta(microseconds=1)) is None
    assert given(AS_OF) == given(LATER - timedelta(microseconds=1)) == [("u3", 0.3, 2)]
    assert given(LATER) == given(LATER + timedelta(days=900)) == [("u1", 0.5, 1)]
    assert place.lake.rows(SHOP, TABLE) == 2


def test_answers_go_once_their_horizon_and_a_while_are_over_in_local_days(home: Path, spark: SparkSession) -> None:
    """In Madrid the newest is of 30 June at noon. A moment of 22:30 UTC in April is of the next day there."""
    place, schema = opened(home, SCORE), SCORES[0]
    newest = datetime(2024, 6, 30, 10, tzinfo=UTC)
    first_day = date(2024, 6, 30) - timedelta(days=HORIZON_DAYS + AFTER_HORIZON_DAYS)
    assert first_day == date(2024, 4, 28)
    stays = datetime(2024, 4, 27, 22, 30, tzinfo=UTC)
    goes = datetime(2024, 4, 27, 21, 30, tzinfo=UTC)
    for moment in (goes, stays, newest):
        predict(place, spark, schema, scores(("u1", 0.1)), moment)
    assert moments(place.lake, SHOP, TABLE) == [stays, newest]
    # A backfill of a moment long gone removes nothing that is newer, and is not kept: nothing waits for it.
    predict(place, spark, schema, scores(("u1", 0.1)), goes)
    assert moments(place.lake, SHOP, TABLE) == [stays, newest]


def test_the_history_is_shown_like_any_table(home: Path, spark: SparkSession) -> None:
    predict(opened(home, SCORE), spark, SCORES[0], scores(("u1", 0.1)), AS_OF)
    [row] = TestHome(home).rows(TABLE, SHOP)
    assert (row["user_id"], row["score"], row["as_of"]) == ("u1", 0.1, AS_OF.isoformat())


def test_a_version_trained_later_could_not_have_answered_then(home: Path, spark: SparkSession) -> None:
    """A backfill of an old moment by today's champion, which has learned from later outcomes, changes no kept row."""
    place = opened(home, SCORE)
    early = datetime(2019, 12, 31, tzinfo=UTC)
    predict(place, spark, SCORES[0], scores(("u1", 0.5)), early)
    assert answers_history.as_of(place.lake, SHOP, NAME, AS_OF) is None
    predict(place, spark, SCORES[0], scores(("u1", 0.25)), TRAINED_AS_OF)
    kept = answers_history.as_of(place.lake, SHOP, NAME, AS_OF)
    assert kept is not None
    assert [(row["user_id"], row["score"]) for row in kept.collect()] == [("u1", 0.25)]
