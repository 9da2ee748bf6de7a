"""What each user will be worth, net of returns: expected purchases times what is expected to be kept of each.

How often is a matter of models of buying and leaving (``learning.lifetime_estimators`` names the papers), of which the
best out of time answers: BG/NBD, MBG/CNBD-k for users with a rhythm, Pareto/NBD. How much is one of Gamma-Gamma.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Candidate, Model, Needs, Outcome, Reads, Rule
from capflow_assets.learning.lifetime_estimators import (
    OF_RFM,
    OF_RHYTHM,
    BgNbdValue,
    HistoricalRate,
    LifetimeParams,
    MbgCnbdValue,
    ParetoNbdValue,
)
from capflow_assets.learning.metrics import rmse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """How often each user buys in the horizon, and what that is worth.

    One row per known user with a bill in ``(start, end]``: ``user_id``, ``purchases`` (distinct local days with a
    visit), ``value`` (sum of the bills, returns among them, currency; below 0 where more came back).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.sums import exact_sum
    from capflow_assets.learning.outcomes import bills_within, example_key

    return (
        bills_within(bills, start, end)
        .groupBy(*example_key(bills))
        .agg(
            F.count_distinct(F.when(~F.col("is_return"), F.col("billed_on"))).cast("int").alias("purchases"),
            exact_sum(F.col("amount")).alias("value"),
        )
    )


def calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How far the expected purchases of all users add up to the actual ones, as a share of those."""
    from capflow_assets.learning.calibration_errors import ratio_error

    return ratio_error(outcomes["purchases"], answers["expected_purchases"])


def value_calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How far the expected value of all users adds up to the actual one, as a share of that.

    Infinite where no more was paid than brought back, and more was expected.
    """
    from capflow_assets.learning.calibration_errors import ratio_error

    return ratio_error(outcomes["value"].sum().clip(min=0.0), answers["expected_value"])


def purchases_said(outcomes: pd.DataFrame, answers: pd.DataFrame) -> str:
    """The totals of expected and actual purchases, in words."""
    from capflow_assets.learning.amounts import totals_in_words

    return totals_in_words(outcomes["purchases"], answers["expected_purchases"], "purchases")


def value_said(outcomes: pd.DataFrame, answers: pd.DataFrame) -> str:
    """The totals of expected and actual value, in words."""
    from capflow_assets.learning.amounts import totals_in_words

    return totals_in_words(outcomes["value"], answers["expected_value"], "of value")


def value_order(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How much of the value that came is captured by the order of the values expected: 1 all, 0 what chance does."""
    from capflow_assets.learning.metrics import spend_gini

    return spend_gini("value", "expected_value").compute(outcomes, answers)


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """Actual beside expected purchases in the horizon, by repeat visits in the past."""
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    most = 7
    frame = pd.DataFrame(
        {
            "x": np.minimum(answers["repeat_visits"].to_numpy(), most),
            "actual": outcomes["purchases"].to_numpy(dtype=float),
            "expected": answers["expected_purchases"].to_numpy(dtype=float),
        }
    )
    means = frame.groupby("x")[["actual", "expected"]].mean()
    actual, expected = outcomes["value"].sum(), answers["expected_value"].sum()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(means.index, means["actual"], marker="o", label="actual")
    axes.plot(means.index, means["expected"], marker="s", linestyle="--", label="expected")
    axes.set_xticks(range(most + 1), [*map(str, range(most)), f"{most}+"])
    axes.set_xlabel("repeat visits before")
    axes.set_ylabel("purchases in the horizon, mean")
    axes.set_title(
        f"{frame['expected'].sum():,.0f} purchases expected, {frame['actual'].sum():,.0f} came; "
        f"worth {expected:,.0f} and {actual:,.0f}"
    )
    axes.legend()
    return figure


MODEL = Model(
    question="How often will each user buy, and what will that be worth?",
    family="lifetime value",
    objective="amount",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=30),
    reads=(Reads("features/rfm", OF_RFM), Reads("features/rhythm", OF_RHYTHM)),
    outcome=Outcome(outcome, ("purchases", "value")),
    params=LifetimeParams,
    candidates=(
        Candidate("BG/NBD and Gamma-Gamma", BgNbdValue),
        Candidate("MBG/CNBD-k and Gamma-Gamma", MbgCnbdValue),
        Candidate("Pareto/NBD and Gamma-Gamma", ParetoNbdValue),
        Candidate("the rate of the past", HistoricalRate, is_baseline=True),
    ),
    # The expected purchases are a conditional mean, which the squared error is proper for; the absolute error would
    # reward promising 0 to everybody, since most users of most retailers buy nothing in a given quarter.
    metric=rmse("purchases", "expected_purchases"),
    # A season in the horizon, which the model is blind to, moves the sums; past a quarter a person decides.
    rules=(
        Rule("calibrated", calibration, "its calibration error", at_most=0.25, said=purchases_said),
        Rule("value_calibrated", value_calibration, "the error of its total value", at_most=0.25, said=value_said),
        Rule("value_ordered", value_order, "the share of value that its order captures", at_least=0.2),
    ),
    fitted="now",
    plot=plot,
)
