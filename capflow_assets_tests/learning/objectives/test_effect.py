"""What all models of effects share: what they read, what they answer, and that the judge takes what they declare."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples, Needs, Outcome, Reads, Subject
from capflow_assets.learning.objectives.effect import Traits, effect_model
from capflow_assets.learning.uplift_estimators import UpliftParams

MODEL = effect_model(
    question="Whom does a letter move?",
    needs=Needs(tables=("clean/bills",)),
    subject=Subject("user and letter", ("user_id", "letter_id")),
    words={"features/rfm": {"visits": "{:.0f} visits in all"}},
    outcome=Outcome(lambda: None, ("spend", "written_to"), absent="unknown", treatment="written_to"),
    lot="letter_id",
    unit=("user_id",),
    traits=Traits("clean/users", "user_id", without=("is_listed",)),
    params=UpliftParams,
)


def letters(rows: int = 3000, seed: int = 0) -> Examples:
    """Half of the users are written to, which brings 3 to those above 60 and nothing to others."""
    random = np.random.default_rng(seed)
    users = [f"u{number:04}" for number in range(rows)]
    index = pd.MultiIndex.from_product([users, ["a"]], names=["user_id", "letter_id"])
    visits, is_old = random.poisson(3, rows).astype(float), random.random(rows) < 0.5
    written = (random.random(rows) < 0.5).astype(float)
    spend = visits + 3 * written * is_old + random.normal(0, 1, rows)
    table = pd.DataFrame({"user_id": users, "age": np.where(is_old, "60+", "30+"), "is_listed": written > 0})
    outcomes = pd.DataFrame({"spend": spend, "written_to": written}, index=index)
    columns = pd.DataFrame({"visits": visits}, index=index)
    return Examples(columns, outcomes, {"clean/users": (table,)}, (datetime(2024, 1, 1, tzinfo=UTC),))


def test_it_says_what_is_read_answered_and_judged() -> None:
    assert MODEL.objective == "effect"
    assert MODEL.reads == (Reads("features/rfm", ("visits",)), Reads("clean/users", form="frame"))
    assert [(column.name, column.unit) for column in MODEL.answer.columns] == [
        ("response_if_treated", "spend"),
        ("response_if_not", "spend"),
    ]
    assert MODEL.metric.unit == ("user_id",)
    assert {rule.name for rule in MODEL.rules} == {"beats_random", "balanced", "targeting_gain"}


def test_without_traits_blocks_alone_are_read() -> None:
    plain = effect_model(
        question="Whom does a letter move?",
        needs=Needs(tables=()),
        subject=Subject("user", ("user_id",)),
        words={"features/rfm": {"visits": "{:.0f} visits in all"}},
        outcome=Outcome(lambda: None, ("spend", "written_to"), treatment="written_to"),
        lot="letter_id",
        params=UpliftParams,
    )
    assert plain.reads == (Reads("features/rfm", ("visits",)),)
    known = letters()
    blind = Examples(known.columns, known.outcomes, {}, known.moments)
    answers = plain.challengers[0].make(UpliftParams(threads=1)).fit(blind).predict(blind)
    # Half of the users are moved by 3, and nothing that is read tells which.
    assert answers["score"].mean() == pytest.approx(1.5, abs=0.2)


def test_learners_find_whom_it_moves_and_the_judge_sees_it() -> None:
    """The response model finds some of them too, since those who are moved do more."""
    train, test, params = letters(), letters(seed=1), UpliftParams(threads=1, learning_rate=0.1, l2=1.0)
    assert test.outcomes is not None
    qini = {
        candidate: MODEL.metric.compute(test.outcomes, candidate.make(params).fit(train).predict(test))
        for candidate in MODEL.candidates
    }
    # Half is moved by 3: the best order gains 3 s / 2 of a share s up to a half, 0.375 on average over shares.
    assert all(qini[candidate] == pytest.approx(0.375, abs=0.05) for candidate in MODEL.challengers)
    assert qini[MODEL.baseline] < 0.25


def test_what_is_no_trait_is_not_read() -> None:
    estimator = MODEL.challengers[0].make(UpliftParams(threads=1)).fit(letters())
    assert estimator.parameters()["traits"] == ["age"]
