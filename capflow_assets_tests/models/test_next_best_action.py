"""Each user's planted action is recovered within the budget, better than by any one rule; and what others answered is
read as it was at the time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.training import Trained, train
from capflow_assets.models.next_best_action import MODEL
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import replace_moment
from capflow_assets_tests.models.action_shop import PARAMS, ActionShop
from capflow_assets_tests.models.campaign_shop import SHOP, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def answers_of(shop: ActionShop, place: int) -> pd.DataFrame:
    return MODEL.candidates[place].make(PARAMS).fit(shop.split.train).predict(shop.split.test)


@pytest.fixture(scope="module")
def policy(action_shop: ActionShop) -> pd.DataFrame:
    """What the first candidate says of the newest campaign's users. Do not change it."""
    return answers_of(action_shop, 0)


def true_value(shop: ActionShop, answers: pd.DataFrame) -> float:
    """The extra visits per user that the chosen actions truly bring."""
    truth = shop.truth
    places = truth.columns.get_indexer(pd.Index(answers["action"]))
    return float(truth.to_numpy()[np.arange(len(truth)), places].mean())


def test_the_policy_is_near_the_oracles_and_above_every_single_rule(
    action_shop: ActionShop, policy: pd.DataFrame
) -> None:
    truth, count = action_shop.truth, len(action_shop.truth)
    most = int(PARAMS.budget_share * count)
    oracle = truth.max(axis=1).nlargest(most).sum() / count
    everybody = max(truth[name].mean() * PARAMS.budget_share for name in truth)
    ours, rule = (true_value(action_shop, answers) for answers in (policy, answers_of(action_shop, 2)))
    assert ours > 0.6 * oracle
    assert ours > 1.2 * max(rule, everybody)


def test_what_is_measured_of_the_policy_is_what_it_truly_brings(action_shop: ActionShop, policy: pd.DataFrame) -> None:
    """The doubly robust gain over nothing, held against the world's laws."""
    nothing = policy.assign(action="nothing", expected_gain=0.0, cost_visits=0.0)
    gain = difference_with_interval(MODEL.metric, outcomes_of(action_shop.split.test), policy, nothing, seed=0)
    assert gain.low < true_value(action_shop, policy) < gain.high
    assert gain.low > 0


def test_it_is_promoted_over_the_best_single_rule_on_the_first_night(action_shop: ActionShop) -> None:
    inner = action_shop.shop
    trained = train(inner.place, inner.reader, PARAMS, inner.as_of)
    assert isinstance(trained, Trained)
    report = trained.report
    assert report.decision.action == "promote", report.decision.reason
    assert report.baseline.difference.low > 0
    assert "feature tables are read alone" in report.parameters["answers_read"]
    assert report.parameters["propensities"] == "known: drawn by lot"


def test_answers_of_other_models_are_those_kept_before_each_moment(action_shop: ActionShop, tmp_path: Path) -> None:
    """Of the newest campaign what churn said the day before; nothing of the day after, and nothing of older ones."""
    copytree(action_shop.shop.place.lake.root, tmp_path / "lake")
    lake = Lake(str(tmp_path / "lake"), action_shop.shop.place.lake.spark)
    moment, users = action_shop.split.test_moment, action_shop.split.test.columns.index
    for at, score in ((moment - timedelta(days=1), 0.25), (moment + timedelta(days=1), 0.75)):
        rows = pa.table({"user_id": list(users), "score": [score] * len(users)})
        replace_moment(lake, SHOP, "answers/churn", at, rows.to_reader())
    reader, older = replace(action_shop.shop.reader, lake=lake, versions={}), action_shop.split.train_moments
    tables = [state.tables["predictions/churn"][0] for state in reader.states([*older, moment])]
    assert [len(table) for table in tables] == [0] * len(older) + [len(users)]
    assert set(tables[-1]["score"]) == {0.25}


def test_where_all_were_addressed_it_is_not_ready_and_says_why(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("all") / "home"
    young = campaign_shop(home, spark, users=200, model="next_best_action", control_pct=0, campaign_reach_pct=100)
    with pytest.raises(EvidenceError, match="cannot be seen where everybody got one"):
        train(young.place, young.reader, PARAMS, young.as_of)
