"""A series: what each subject will see on each of the next days or weeks, with 80 and 95 % intervals.

Forecasts are judged by their error in units of the naive forecast's, and by the share of days whose outcome lies in its
interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Horizon, Model, Needs, Outcome, Reads, Subject
from capflow_assets.learning.forecast_scores import LEAST_JUDGED, coverage_rule, weighted_scaled_error, with_outcomes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

P = TypeVar("P", bound=Horizon)
LEVELS = (80, 95)


def series_model(
    *,
    question: str,
    subject: Subject,
    needs: Needs,
    reads: tuple[Reads, ...],
    outcome: Callable[..., Any],
    measures: tuple[str, ...],
    columns: tuple[Column, ...],
    size: str,
    periods: int,
    params: type[P],
    candidates: Sequence[Candidate[P]],
    period: str = "day",
) -> Model[P]:
    """A model whose answers are a row per subject and ``day``, with each of ``measures`` and its intervals.

    ``outcome`` gives a row per subject and ``day`` with the ``measures``; a day without one was a day of zero.
    ``columns`` are all of the answers: of each measure itself, ``forecast_scores.interval_columns`` and
    ``{measure}_naive_error``, and ``size``, a subject's usual level by which subjects are weighed. ``period`` is what a
    row is of, in words, and ``periods`` how many of them are forecast by default.
    """
    return Model(
        question=question,
        family="forecast",
        objective="series",
        needs=needs,
        subject=subject,
        reads=reads,
        outcome=Outcome(outcome, measures, per=("day",)),
        answer=Answer(per=("day",), columns=columns, ranked_by=None),
        params=params,
        candidates=tuple(candidates),
        metric=weighted_scaled_error(measures, weight=size, period=period),
        rules=tuple(coverage_rule(measures, size, level, periods, period) for level in LEVELS),
        least_judged=LEAST_JUDGED,
        fitted="now",
        plot=partial(_plot, measures, size),
    )


def _plot(measures: Sequence[str], size: str, outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    from capflow_assets.learning.plots import series_plot

    rows = with_outcomes(outcomes, answers, measures)
    if rows.index.nlevels > 1:
        rows = rows.set_axis([", ".join(map(str, key)) for key in rows.index], axis=0)
    return series_plot(rows, measures[0], size)
