"""An amount: what each subject will spend. Most spend nothing, a few very much, and forecasts have to add up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Metric, Model, Needs, Outcome, Rule
from capflow_assets.learning.boosted_amounts import AmountParams, TweedieAmount, TwoPartAmount
from capflow_assets.learning.column_menu import Words, reads_of, texts_of, with_menu
from capflow_assets.learning.metrics import mean_by_subject, spend_gini

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

P = TypeVar("P", bound=AmountParams)


@with_menu
def amount_model(
    *,
    question: str,
    family: str,
    needs: Needs,
    outcome: Outcome,
    words: Words,
    baseline: Candidate[P],
    params: type[P],
    also: tuple[Candidate[P], ...] = (),
) -> Model[P]:
    """A model whose ``score`` is an expected amount, of the first of the outcome's columns.

    ``words`` give for each feature block the columns that are read of it, each with a text that has a place for its
    value. ``also`` are candidates besides the usual ones; all answer with ``score``, ``low_80`` and ``high_80``, see
    ``learning.boosted_amounts``.
    """
    column, texts = outcome.columns[0], texts_of(words)

    def total_error(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """How far forecast and actual totals are apart in tenths of the subjects, as a share of the total."""
        from capflow_assets.learning.amounts import total_error_by_tenths

        return total_error_by_tenths(outcomes[column], answers["score"])

    def totals(outcomes: pd.DataFrame, answers: pd.DataFrame) -> str:
        from capflow_assets.learning.amounts import totals_in_words

        return totals_in_words(outcomes[column], answers["score"], f"of {column}")

    def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
        from capflow_assets.learning.plots import totals_plot

        return totals_plot(outcomes[column], answers["score"], column)

    return Model(
        question=question,
        family=family,
        objective="amount",
        needs=needs,
        reads=reads_of(words),
        outcome=outcome,
        answer=Answer(
            columns=(
                Column("low_80", "double", "Of ten subjects one stays below.", unit="currency", at_least=0),
                Column("high_80", "double", "Of ten subjects one goes beyond.", unit="currency", at_least=0),
            )
        ),
        params=params,
        candidates=(
            Candidate("two parts", partial(TwoPartAmount, outcome=column, words=texts)),
            Candidate("Tweedie", partial(TweedieAmount, outcome=column, words=texts)),
            *also,
            baseline,
        ),
        metric=deviance_explained(column),
        rules=(
            # A season in the horizon moves every total; past a quarter a person decides.
            Rule("calibrated", total_error, "its error of totals by tenths", at_most=0.25, said=totals),
            Rule("interval_coverage", _coverage(column), "the share inside its 80 % intervals", otherwise="tell"),
            Rule("spend_gini", spend_gini(column).compute, "its share of the possible concentration", otherwise="tell"),
        ),
        plot=plot,
    )


def deviance_explained(column: str) -> Metric:
    """The share of the Tweedie deviance of saying everybody's mean that the forecasts explain, over subjects."""

    def by_subject(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        from capflow_assets.learning.amounts import deviance_saved

        saved = deviance_saved(outcomes[column], answers["score"])
        return pd.DataFrame({"value": saved}, index=outcomes.index)

    words = f"Share of the Tweedie deviance of {column} that it explains, beyond saying everybody's mean."
    return mean_by_subject("deviance_explained", by_subject, True, words)


def _coverage(column: str) -> Callable[[pd.DataFrame, pd.DataFrame], float]:
    def coverage(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        actual = outcomes[column].to_numpy(dtype=float)
        is_inside = (answers["low_80"].to_numpy() <= actual) & (actual <= answers["high_80"].to_numpy())
        return float(is_inside.mean())

    return coverage
