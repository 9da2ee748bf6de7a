"""A time: when a subject comes next. Of those who had not come by the end of the horizon only that is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Metric, Model, Needs, Outcome, Rule
from capflow_assets.learning.column_menu import MenuParams, Words, reads_of, texts_of, with_menu
from capflow_assets.learning.time_estimators import BoostedTime

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

P = TypeVar("P", bound=MenuParams)
CAME, DAYS = "came", "days"
COLUMNS = (
    Column("chance", "double", "Chance to come within the horizon.", at_least=0, at_most=1),
    Column("days", "double", "Days after which half of such subjects have come; 730 at most.", unit="days", at_least=0),
    Column("low_80", "double", "Of ten subjects one comes earlier.", unit="days", at_least=0),
    Column("high_80", "double", "Of ten subjects one comes later.", unit="days", at_least=0),
    Column("expected_on", "date", "The day so many days later; null where that is not within two years."),
    Column("horizon_days", "bigint", "How far the horizon reached.", unit="days"),
)


@with_menu
def time_model(
    *,
    question: str,
    family: str,
    needs: Needs,
    outcome: Callable[..., object],
    words: Words,
    baseline: Candidate[P],
    params: type[P],
    also: tuple[Candidate[P], ...] = (),
) -> Model[P]:
    """A model that answers as ``learning.time_estimators.time_answers`` says.

    ``outcome`` computes ``came`` (1) and ``days`` (whole, from 1) of the subjects who came within the horizon.
    ``words`` give for each feature block the columns that are read of it, each with a text that has a place for its
    value. ``also`` are candidates besides the usual one.
    """
    return Model(
        question=question,
        family=family,
        objective="time",
        needs=needs,
        reads=reads_of(words),
        outcome=Outcome(outcome, (CAME, DAYS)),
        answer=Answer(columns=COLUMNS),
        params=params,
        candidates=(
            Candidate("accelerated failure time", partial(BoostedTime, words=texts_of(words))),
            *also,
            baseline,
        ),
        metric=concordance_index(),
        rules=(
            Rule("calibrated", calibration, "its calibration error", at_most=0.1),
            Rule(
                "interval_coverage",
                coverage,
                "the share inside its 80 % intervals, beyond what they promise",
                at_least=-0.1,
                at_most=0.1,
            ),
        ),
        plot=plot,
    )


def concordance_index() -> Metric:
    """Harrell's C: of two subjects of whom it is known who came first, how often that one is scored higher."""

    def counted(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Callable[[np.ndarray], float]:
        import numpy as np

        from capflow_assets.learning.survival import concordance

        is_event, days, score = _times(outcomes, answers)
        is_finite = np.isfinite(score)
        of_counts = concordance(is_event[is_finite], days[is_finite], score[is_finite])
        return lambda counts: of_counts(counts[is_finite])

    def compute(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        return counted(outcomes, answers)(np.ones(len(outcomes)))

    words = "Chance that of two subjects the one who came first is scored higher."
    return Metric("concordance", compute, True, words, counted=counted)


def calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Expected calibration error of the chance to come within the horizon, beyond chance, ten bins of equal mass."""
    from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error

    is_event, chances = outcomes[CAME], answers["chance"]
    return max(0.0, expected_calibration_error(is_event, chances) - calibration_error_by_chance(is_event, chances))


def coverage(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """See ``learning.survival.coverage_beyond_promise``."""
    from capflow_assets.learning.survival import coverage_beyond_promise

    names = ("low_80", "high_80", "chance", "horizon_days")
    low, high, chance, horizon = (answers[name].to_numpy(dtype=float) for name in names)
    is_event, days, _ = _times(outcomes, answers)
    return coverage_beyond_promise(is_event, days, low, high, chance, horizon)


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The chance to come within the horizon against the share that came, in ten groups of subjects."""
    from capflow_assets.learning.plots import calibration_plot

    return calibration_plot(outcomes[CAME], answers["chance"], "came", calibration(outcomes, answers))


def _times(outcomes: pd.DataFrame, answers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who came, after how many days (infinite for who did not), and the score."""
    import numpy as np

    is_event = outcomes[CAME].to_numpy(dtype=float)
    days = np.where(is_event > 0, outcomes[DAYS].to_numpy(dtype=float), np.inf)
    return is_event, days, answers["score"].to_numpy(dtype=float)
