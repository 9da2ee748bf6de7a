"""Answers given by the engine's workers are those of one process, on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import percentileofscore

from capflow_assets.life.answers import rows_of
from capflow_assets.life.engine_scoring import SHARE, RankBatches, may_score_in_engine, with_shares
from capflow_assets.life.scoring import score
from capflow_assets_tests.life.shop import AS_OF, MODEL, REGULARS, SHOP, deployment, reader

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def predictions(root: Path, *, in_engine: bool) -> tuple[pd.DataFrame, object]:
    place = deployment(root)
    scored = score(place, reader(place), AS_OF, in_engine=in_engine)
    assert scored is not None
    table = place.lake.arrow(SHOP, f"predictions/{MODEL}").to_pandas()
    return table.sort_values("user_id", ignore_index=True), scored.totals


def test_the_engines_rows_and_totals_are_those_of_one_process(trained_shop: Path) -> None:
    here, totals = predictions(trained_shop, in_engine=False)
    there, others = predictions(trained_shop, in_engine=True)
    pd.testing.assert_frame_equal(here, there)
    assert totals == others
    assert len(there) == 41


def test_what_was_answered_is_kept_as_well(trained_shop: Path) -> None:
    predictions(trained_shop, in_engine=True)
    kept = deployment(trained_shop).lake.arrow(SHOP, f"answers/{MODEL}")
    assert len(kept) == 41


SCORES = [*np.random.default_rng(3).gamma(0.3, 100.0, 400).round(2).tolist(), 0.0, 0.0, None, float("nan"), 1e6]


@pytest.mark.parametrize("engine", ["spark", "jvm"])
def test_shares_are_those_of_scipy(engine: str, request: pytest.FixtureRequest) -> None:
    """Scores of a long tail, of which most share a bin, with ties, and some that are not known."""
    session: SparkSession = request.getfixturevalue(engine)
    frame = session.createDataFrame(
        [(f"u{number}", score) for number, score in enumerate(SCORES)], "user_id string, score double"
    )
    shares = with_shares(frame).toPandas().set_index("user_id")[SHARE]
    own = pd.Series(SCORES, dtype=float)
    known = own.dropna()
    expected = own.map(lambda value: percentileofscore(known, value, "mean") / 100 if value == value else np.nan)
    assert shares.loc[[f"u{number}" for number in range(len(SCORES))]].to_list() == pytest.approx(
        expected.to_list(), nan_ok=True
    )


@pytest.mark.parametrize("scores", [[], [None, None], [2.0], [2.0, 2.0]], ids=["none", "unknown", "one", "equal"])
def test_shares_of_next_to_nothing(spark: SparkSession, scores: list[float | None]) -> None:
    frame = spark.createDataFrame([(f"u{n}", value) for n, value in enumerate(scores)], "user_id string, score double")
    shares = with_shares(frame).toPandas()[SHARE].to_list()
    assert [share for share in shares if share == share and share is not None] == [0.5] * sum(map(bool, scores))
    assert len(shares) == len(scores)


def test_a_worker_makes_the_rows_that_one_process_makes() -> None:
    import pyarrow as pa

    from capflow_assets.life.answers import schema_of

    answers = pd.DataFrame({"score": [1.0, 3.0, 2.0]}, index=pd.Index(["a", "b", "c"], name="user_id"))
    rows = rows_of(REGULARS, answers, 4, AS_OF)
    work = RankBatches(REGULARS, 4, AS_OF, "own", schema_of(REGULARS, rows))
    batch = pa.RecordBatch.from_pandas(answers.reset_index().assign(**{SHARE: [1 / 6, 5 / 6, 3 / 6]}))
    (ranked,) = list(work(iter([batch])))
    pd.testing.assert_frame_equal(ranked.to_pandas(), pa.Table.from_pandas(rows, work.schema).to_pandas())


def test_models_that_read_tables_whole_stay_in_one_process() -> None:
    from capflow_assets.definitions import STAGES

    there = {name for name, spec in STAGES.models.items() if may_score_in_engine(spec.model)}
    assert {"purchase_propensity", "churn", "spend_forecast"} <= there
    assert not there & {"next_basket", "visit_forecast", "market_basket"}
