"""How forecasts of series are judged: the weighted scaled error, and the coverage of their intervals.

Outcomes and answers have rows per subject and ``day``; a day without an outcome was a day of zero. numpy and pandas are
imported when something is judged, so that a model file loads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Metric, Rule
from capflow_assets.learning.metrics import mean_by_subject

if TYPE_CHECKING:
    import pandas as pd

FEW_SUBJECTS = 8
# The weeks of one store: a customer that has no other is to have its forecast without a person, and a week that is no
# better than the week before costs little.
LEAST_JUDGED = 4
WEEK_DAYS = 7


def weighted_scaled_error(measures: Sequence[str], weight: str, period: str = "day") -> Metric:
    """The mean absolute error of a subject's days in units of the seasonal naive forecast's error in its history.

    Hyndman & Koehler (2006): below 1 is better than last week's same day was in the past. The mean over the
    ``measures``, weighted over the subjects by the column ``weight`` of the answers; the unit of a measure is the
    answers' column ``{measure}_naive_error``. Both are of the history alone, so all rivals have the same. ``period`` is
    what a row is of, in words.

    An interval draws subjects. Of fewer than ``FEW_SUBJECTS`` it draws their weeks, of which ``by_subject`` has rows
    then: of one store there is nothing else to draw, and of three the worst says little.
    """

    def by_subject(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
        days, key = with_outcomes(outcomes, answers, measures), list(answers.index.names)
        scaled = [(days[name] - days[f"{name}_outcome"]).abs() / days[f"{name}_naive_error"] for name in measures]
        week = (days["day"] - days["day"].min()).dt.days // WEEK_DAYS
        errors = days.assign(value=sum(scaled) / len(scaled), weight=days[weight], week=week)
        units = [*key, "week"] if days.index.nunique() < FEW_SUBJECTS else key
        return errors.groupby(units, sort=True)[["value", "weight"]].mean()

    words = f"Mean error of {' and '.join(measures)} a {period}, 1 being that of the week before; weighted by {weight}."
    return mean_by_subject("weighted_scaled_error", by_subject, False, words)


def coverage(measures: Sequence[str], weight: str, level: int) -> Callable[[pd.DataFrame, pd.DataFrame], float]:
    """The share of days whose outcome lies in their interval, over all measures, days weighted by their subject."""

    def measure(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        days = with_outcomes(outcomes, answers, measures)
        inside = [
            days[f"{name}_outcome"].between(days[f"{name}_low_{level}"], days[f"{name}_high_{level}"])
            for name in measures
        ]
        weights = days[weight].to_numpy(dtype=float)
        shares = sum(one.to_numpy(dtype=float) for one in inside) / len(inside)
        return float(np.average(shares, weights=weights)) if weights.sum() > 0 else float("nan")

    return measure


def coverage_rule(measures: Sequence[str], weight: str, level: int, periods: int, period: str = "day") -> Rule:
    """The rule that the intervals of a level hold what they say.

    What moves all subjects alike (weather, a holiday) makes their days one sample, so that a horizon of n days is
    as good as n draws, however many subjects there are: the share strays from the level p by ``sqrt(p (1 - p) / n)``.
    The bounds are two such deviations away, of 28 days 0.65 to 0.95 for 80 % and 0.87 for 95 %, of which more is no
    fault.
    """
    share = level / 100
    stray = 2 * (share * (1 - share) / periods) ** 0.5
    most = share + stray
    return Rule(
        f"coverage_{level}",
        coverage(measures, weight, level),
        f"the share of {period}s within its {level} % interval",
        at_least=round(share - stray, 2),
        at_most=round(most, 2) if most < 1 else 1.0,
    )


def interval_columns(name: str, words: str, unit: str) -> tuple[Column, ...]:
    """The columns of the 80 and 95 % intervals of a measure."""
    return tuple(
        Column(
            f"{name}_{end}_{level}",
            "double",
            f"The {end} end of the {level} % interval of {words}.",
            True,
            0,
            unit=unit,
        )
        for level in (80, 95)
        for end in ("low", "high")
    )


def with_outcomes(outcomes: pd.DataFrame, answers: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """The answers with ``{measure}_outcome`` beside them, 0 where a day has none; same rows, same order."""
    import pandas as pd

    key = list(answers.index.names)
    days = answers.reset_index().assign(day=pd.to_datetime(answers["day"].to_numpy()))
    actual = outcomes.reset_index()[[*key, "day", *measures]]
    actual = actual.assign(day=pd.to_datetime(actual["day"])).rename(
        columns={name: f"{name}_outcome" for name in measures}
    )
    joined = days.merge(actual, on=[*key, "day"], how="left", validate="one_to_one")
    return joined.fillna({f"{name}_outcome": 0.0 for name in measures}).set_index(key)
