"""A chance: how likely a subject is to do something within the horizon.

Candidates are boosted trees, a logistic regression over splines and extra-trees, each calibrated on the newest moment
that it learns from; they are judged by the ROC AUC out of time against a rule by one column, and a version whose
chances are not what came is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from capflow_assets.contract import USER, Candidate, Model, Needs, Outcome, Rule, Subject
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.learning.buying_chance import BuyingChance
from capflow_assets.learning.column_menu import MenuParams, Words, reads_of, texts_of, with_menu
from capflow_assets.learning.extra_trees import ExtraTrees
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.single_column import SingleColumn
from capflow_assets.learning.spline_logistic import SplineLogistic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from capflow_assets.contract import Horizon

MOST_CALIBRATION_ERROR = 0.05


class ChanceParams(MenuParams):
    """What a person or the tuner may set for a chance."""

    moments: int = Field(8, ge=2, le=24, description="How many past as-of moments make the examples.")


P = TypeVar("P", bound=ChanceParams)


@with_menu
def chance_model(
    *,
    question: str,
    family: str,
    needs: Needs,
    outcome: Outcome,
    words: Words,
    baseline: Candidate[P],
    params: type[P],
    subject: Subject = USER,
    did: str = "",
    also: tuple[Candidate[P], ...] = (),
    rules: tuple[Rule, ...] = (),
) -> Model[P]:
    """A model that answers with a chance.

    ``words`` give for each feature block the columns that are read of it, each with a text that has a place for its
    value, such as ``{"features/rfm": {"visits": "{:.0f} visits in all"}}``. The first column of the ``outcome`` is
    above 0 where it came, and ``did`` says so in the plot ("bought"; by default the column's name). ``also`` are
    candidates besides the usual ones, and ``rules`` are asked besides the calibration's.
    """
    column = outcome.columns[0]
    texts = texts_of(words)
    return Model(
        objective="chance",
        question=question,
        family=family,
        needs=needs,
        subject=subject,
        reads=reads_of(words),
        outcome=outcome,
        params=params,
        candidates=(
            Candidate("boosted trees", partial(BoostedChance, outcome=column, words=texts), is_tuned=True),
            Candidate("logistic splines", partial(SplineLogistic, outcome=column, words=texts)),
            Candidate("extra-trees", partial(ExtraTrees, outcome=column, words=texts)),
            *also,
            baseline,
        ),
        metric=roc_auc(column),
        rules=(calibrated(column), *rules),
        plot=partial(_plot, column, did or column),
    )


def by_column(name: str, outcome: str, column: str, word: str, *, grows: bool) -> Candidate[Horizon]:
    """The baseline that goes by one column, which the chance grows with or falls with; ``word`` is its only reason."""
    make = partial(SingleColumn, outcome=outcome, column=column, word=word, grows=grows)
    return Candidate(name, make, is_baseline=True)


def by_history(outcome: str, words: Mapping[str, str], lapsed_after: float = 0.0) -> Candidate[Horizon]:
    """A candidate by the law of how users come and leave for good (``learning.buying_chance``)."""
    return Candidate(
        "buy till you die", partial(BuyingChance, outcome=outcome, words=dict(words), lapsed_after=lapsed_after)
    )


def calibrated(outcome: str) -> Rule:
    """The rule that chances are what comes of them, within ``MOST_CALIBRATION_ERROR``."""
    measure = partial(_calibration, outcome)
    return Rule("calibrated", measure, "its calibration error", at_most=MOST_CALIBRATION_ERROR)


def _calibration(outcome: str, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Expected calibration error of the chances beyond what chance alone would show, ten bins of equal mass.

    Without taking chance off, no customer of a few hundred users could ever pass.
    """
    from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error
    from capflow_assets.learning.example_weights import example_weights

    observed, chances, weights = outcomes[outcome], answers["score"], example_weights(outcomes)
    by_chance = calibration_error_by_chance(observed, chances, weights=weights)
    return max(0.0, expected_calibration_error(observed, chances, weights=weights) - by_chance)


def _plot(outcome: str, did: str, outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The chance that was predicted against the share with the outcome, in ten groups of subjects."""
    from capflow_assets.learning.example_weights import example_weights
    from capflow_assets.learning.plots import calibration_plot

    error = _calibration(outcome, outcomes, answers)
    return calibration_plot(outcomes[outcome], answers["score"], did, error, example_weights(outcomes))
