"""Positives and unlabelled, where who belongs is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.lookalikes import IS_HIDDEN, IS_SEED, BaggedUnlabelled, ElkanNoto, LikeTheMean
from capflow_assets.models.lookalike_audience import MODEL, LookalikeAudienceParams, found_again

WORDS = {"one": "one of {:.1f}", "two": "two of {:.1f}", "three": "three of {:.1f}"}
USERS = "clean/users"
PARAMS = LookalikeAudienceParams(audience="segment=vip", threads=1)
LABELLED = 0.4
WAYS = (ElkanNoto, BaggedUnlabelled)


@cache
def planted() -> tuple[Examples, np.ndarray, np.ndarray]:
    """Users who belong by the first column and by the middle of the second; of them 40 % by lot are in the audience."""
    random = np.random.default_rng(0)
    values = random.normal(size=(4000, 3))
    chance = expit(3 * values[:, 0] - 5 * values[:, 1] ** 2 + 1)
    belongs = random.random(4000) < chance
    is_seed = belongs & (random.random(4000) < LABELLED)
    index = pd.Index([f"u{number:04d}" for number in range(4000)], name="user_id")
    columns = pd.DataFrame(values, index, list(WORDS)).assign(spend_364d=1.0)
    users = pd.DataFrame({"user_id": index, "segment": np.where(is_seed, "vip", None)})
    return Examples(columns, None, {USERS: (users,)}), belongs, chance


@pytest.mark.parametrize("way", WAYS)
def test_members_whom_nobody_named_are_found_as_by_one_who_knows_the_law(way: type) -> None:
    examples, belongs, chance = planted()
    answers = way(PARAMS, WORDS, "spend_364d", USERS).fit(examples).predict(examples)
    is_other = (answers[IS_SEED] == 0).to_numpy()
    best = roc_auc_score(belongs[is_other], chance[is_other])
    assert roc_auc_score(belongs[is_other], answers["score"][is_other]) > best - 0.04
    baseline = LikeTheMean(PARAMS, WORDS, "spend_364d", USERS).fit(examples).predict(examples)
    assert found_again(answers, answers) > found_again(answers, baseline) + 0.03
    assert answers["score"].between(0, 1).all()
    assert answers["reasons"].str.contains("of -?[0-9]").all()


def test_c_is_the_chance_of_a_label_of_one_who_belongs() -> None:
    """Of 100 who belong 40 are in the audience, 20 not hidden, and 16 learned from: 4 are held out, to measure c.

    So a user who belongs with the chance p is labelled with 0.16 p of the 1 - 0.04 p who are left, and c is the mean of
    that over the labelled.
    """
    examples, _, chance = planted()
    model = ElkanNoto(PARAMS, WORDS, "spend_364d", USERS).fit(examples)
    p = chance[(model.predict(examples)[IS_SEED] == 1).to_numpy()]
    expected = (0.16 * p / (1 - 0.04 * p)).mean()
    assert model.labelled_share == pytest.approx(expected, rel=0.25)


def test_half_of_the_audience_is_hidden_from_the_training_and_none_of_what_is_served() -> None:
    examples, _, _ = planted()
    model = BaggedUnlabelled(PARAMS, WORDS, "spend_364d", USERS).fit(examples)
    answers = model.predict(examples)
    assert answers[IS_HIDDEN].sum() == pytest.approx(answers[IS_SEED].sum() / 2, rel=0.1)
    assert model.seeds == answers[IS_SEED].sum() - answers[IS_HIDDEN].sum()
    served = model.refit(examples)
    assert served.seeds == answers[IS_SEED].sum()
    assert served.predict(examples)[IS_HIDDEN].sum() == 0


def test_without_a_name_the_audience_is_who_spent_most() -> None:
    examples, _, _ = planted()
    spend = pd.Series(np.arange(4000.0), examples.columns.index)
    examples = replace(examples, columns=examples.columns.assign(spend_364d=spend))
    params = LookalikeAudienceParams(top_share=0.2, threads=1)
    answers = LikeTheMean(params, WORDS, "spend_364d", USERS).fit(examples).predict(examples)
    assert set(answers.index[answers[IS_SEED] == 1]) == set(spend.nlargest(800).index)


@pytest.mark.parametrize("audience", ["no_such=vip", "segment=nobody"])
def test_an_audience_that_is_not_there_is_named(audience: str) -> None:
    model = MODEL.challengers[1].make(LookalikeAudienceParams(audience=audience))
    examples, _, _ = planted()
    filled = {name: 1.0 for name in MODEL.columns if name not in examples.columns}
    with pytest.raises(EvidenceError, match=audience):
        model.fit(replace(examples, columns=examples.columns.assign(**filled)))


def test_an_audience_of_everybody_says_nothing() -> None:
    examples, _, _ = planted()
    everybody = {USERS: (examples.table(USERS).assign(segment="vip"),)}
    with pytest.raises(EvidenceError, match="some who are not"):
        ElkanNoto(PARAMS, WORDS, "spend_364d", USERS).fit(replace(examples, tables=everybody))


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        ElkanNoto(PARAMS, WORDS, "spend_364d", USERS).predict(planted()[0])
