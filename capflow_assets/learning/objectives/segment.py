"""A segment: which kind of subject each one is, and which kinds deserve attention first.

Segments describe. They are cut at a moment and need no outcome; their order is judged by what their users spend
afterwards. A score is the place of the user's segment and, behind the point, the standing inside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.contract import Candidate, Examples, Horizon, Model, Needs, Outcome, Reads, Rule
from capflow_assets.learning.metrics import spend_gini

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

P = TypeVar("P", bound=Horizon)
NEVER_DAYS = 1e6
LARGEST_ERROR = 0.05


class RecencyOnly:
    """The baseline: whoever came last comes first. It reads ``recency_days``."""

    def __init__(self, params: Horizon) -> None:
        self.params = params

    def fit(self, examples: Examples) -> RecencyOnly:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: minus the days since the last visit."""
        import pandas as pd

        from capflow_assets.learning.frames import matrix

        days = matrix(examples.columns, ("recency_days",))["recency_days"].fillna(NEVER_DAYS)
        return pd.DataFrame({"score": -days, "reasons": "days since the last visit"}, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}


def segment_model(
    *,
    question: str,
    needs: Needs,
    reads: tuple[Reads, ...],
    params: type[P],
    segments: Candidate[P],
    baseline: Candidate[P] | None = None,
    answers_from: Needs | None = None,
    rules: tuple[Rule, ...] = (),
) -> Model[P]:
    """A model whose answers have ``score`` and ``segment``, judged by the spend of the horizon.

    ``segments`` is fitted to the state of a moment. Without a ``baseline`` it is held against recency alone, whose
    ``recency_days`` must be read. ``rules`` come after that on the order of the segments. ``answers_from`` is for
    rules, see ``contract.Model``.
    """
    return Model(
        question=question,
        family="segments",
        needs=needs,
        reads=reads,
        outcome=Outcome(spend_after, ("spend",)),
        params=params,
        candidates=(segments, baseline or Candidate("recency alone", RecencyOnly, is_baseline=True, may_answer=False)),
        metric=spend_gini("spend"),
        rules=(Rule("calibrated", order_error_of, "its calibration error", at_most=LARGEST_ERROR), *rules),
        objective="segment",
        beats="not worse",
        fitted="now",
        answers_from=answers_from,
        plot=spend_plot,
    )


def spend_after(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """What each user spends in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``spend`` (sum of positive bills, currency).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.sums import exact_sum
    from capflow_assets.learning.outcomes import example_key, visits_within

    # A sum of decimals is the same whatever the order of the rows; one of doubles is not.
    spend = exact_sum(F.col("amount")).alias("spend")
    return visits_within(bills, start, end).groupBy(*example_key(bills)).agg(spend)


def order_error_of(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of the horizon's spend that stands out of the segments' order; 0 where it grows with their place."""
    from capflow_assets.learning.calibration_errors import order_error

    groups = spend_by_segment(outcomes, answers)
    return order_error(groups["spend_avg"], groups["users"])


def variance_explained(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of the variance of ``log(1 + spend)`` that lies between segments (eta squared), 0 to 1."""
    import numpy as np

    spend = np.log1p(np.maximum(outcomes["spend"].to_numpy(dtype=float), 0.0))
    means = outcomes.assign(spend=spend).groupby(answers["segment"].to_numpy())["spend"].transform("mean").to_numpy()
    whole = float(np.var(spend))
    return float(np.var(means)) / whole if whole > 0 else 0.0


def spend_plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """Each segment's share of users beside its share of the horizon's spend, best segment first."""
    import numpy as np
    from matplotlib.figure import Figure

    groups = spend_by_segment(outcomes, answers)
    users = 100 * groups["users"] / groups["users"].sum()
    spend = 100 * groups["spend"] / max(groups["spend"].sum(), 1e-9)
    figure = Figure(figsize=(7, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(groups))
    axes.barh(rows + 0.2, users, height=0.4, label="% of users", color="tab:gray")
    axes.barh(rows - 0.2, spend, height=0.4, label="% of spend in the horizon", color="tab:green")
    axes.set_yticks(rows, groups["segment"])
    axes.legend(loc="lower right")
    axes.set_title(f"{groups['segment'].iloc[-1]}: {users.iloc[-1]:.0f} % of users, {spend.iloc[-1]:.0f} % of spend")
    return figure


def spend_by_segment(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """One row per segment, worst place first: ``place``, ``segment``, ``users``, ``spend``, ``spend_avg``."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {
            "place": np.floor(answers["score"].to_numpy(dtype=float)),
            "segment": answers["segment"].to_numpy(),
            "spend": outcomes["spend"].to_numpy(dtype=float),
        }
    )
    groups = frame.groupby(["place", "segment"])["spend"].agg(users="size", spend="sum", spend_avg="mean")
    return groups.reset_index()
