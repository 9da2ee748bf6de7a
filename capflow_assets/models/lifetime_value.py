"""What each user will be worth: expected purchases (BG/NBD) times expected spend per purchase (Gamma-Gamma).

A purchase is a local day with a visit, so that two bills of one errand count once. With ``visits``, ``tenure_days``
and ``recency_days`` of features/rfm, a user's history is ``x = visits - 1``, ``t_x = tenure - recency``, ``T = tenure``
in weeks (see ``learning.btyd`` and ``learning.gamma_gamma`` for the papers). Both models take users to be steady while
they stay: a season that lies in the horizon and not in the history is missed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from capflow_assets.contract import Candidate, Examples, Horizon, Model, Needs, Outcome, Reads, Rule
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.metrics import rmse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

    from capflow_assets.learning.btyd import BgNbd
    from capflow_assets.learning.gamma_gamma import GammaGamma

COLUMNS = ("visits", "tenure_days", "recency_days", "repeat_visit_spend_avg")
WEEK_DAYS = 7.0


class LifetimeValueParams(Horizon):
    """What a person may set for lifetime value."""

    horizon_days: int = Field(90, ge=1, le=730, description="Days after the as-of moment whose value is expected.")


class LifetimeValue:
    """A fitted BG/NBD for how often and a fitted Gamma-Gamma for how much."""

    saved_types = ("capflow_assets.learning.btyd.BgNbd", "capflow_assets.learning.gamma_gamma.GammaGamma")

    def __init__(self, params: LifetimeValueParams) -> None:
        self.params = params
        self.buying: BgNbd | None = None
        self.spending: GammaGamma | None = None
        self.mean_spend = 0.0
        self.note = ""

    def fit(self, examples: Examples) -> LifetimeValue:
        """Learn both models from the users' state at one moment.

        Where too few users came back, or they differ too much for Gamma-Gamma, every visit is expected to bring the
        mean spend of all repeat visits, and ``parameters()["note"]`` says so.

        Raises ``EvidenceError`` when nobody bought twice.
        """
        from capflow_assets.learning.btyd import fit_bg_nbd
        from capflow_assets.learning.frames import in_order, matrix

        state = matrix(in_order(examples).columns, COLUMNS)  # a search ends elsewhere where sums are of another order
        state = state[(state["visits"] > 0) & state["tenure_days"].notna()]
        x, t_x, T = _history(state)
        self.buying = fit_bg_nbd(x, t_x, T)
        self._fit_spending(x, state["repeat_visit_spend_avg"].to_numpy())
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score`` = ``expected_value`` (currency over the horizon), ``expected_purchases``, ``p_alive``.

        ``repeat_visits`` is the history's ``x``. A user of whom nothing is known is expected to be like a new one.
        """
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted, matrix

        buying = fitted(self.buying, "lifetime_value")
        state = matrix(examples.columns, COLUMNS)
        x, t_x, T = _history(state)
        alive = buying.p_alive(x, t_x, T)
        purchases = buying.expected_purchases(x, t_x, T, self.params.horizon_days / WEEK_DAYS)
        spend = self._expected_spend(x, state["repeat_visit_spend_avg"].to_numpy())
        value = purchases * spend
        columns = {
            "score": value,
            "expected_value": value,
            "expected_purchases": purchases,
            "p_alive": alive,
            "repeat_visits": x.astype(np.int64),
            "reasons": _reasons(x, T - t_x, alive, purchases, spend, self.params.horizon_days),
        }
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """BG/NBD's r, alpha (weeks), a, b; Gamma-Gamma's p, q, gamma (currency); both log-likelihoods; the note."""
        fitted: dict[str, Any] = dict(self.buying.parameters()) if self.buying else {}
        if self.spending:
            spending = self.spending.parameters()
            fitted |= {name: spending[name] for name in ("p", "q", "gamma")}
            fitted |= {"spend_log_likelihood": spending["log_likelihood"], "spend_users": spending["users"]}
        return {**fitted, "mean_spend": self.mean_spend, "note": self.note}

    def _fit_spending(self, x: np.ndarray, average: np.ndarray) -> None:
        import numpy as np

        from capflow_assets.learning.gamma_gamma import fit_gamma_gamma

        usable = (x > 0) & (average > 0)
        if not usable.any():
            raise EvidenceError(
                "Lifetime value cannot be fitted",
                expected="repeat visits with a positive spend",
                came=f"{int((x > 0).sum())} users with repeat visits, none of a positive spend",
            )
        try:
            self.spending = fit_gamma_gamma(x, average)
            self.mean_spend, self.note = self.spending.mean_spend, ""
        except ModelError as error:
            self.spending = None
            self.mean_spend = float(np.average(average[usable], weights=x[usable]))
            self.note = f"Every visit is expected to bring the mean spend: {' '.join(str(error).split())}"

    def _expected_spend(self, x: np.ndarray, average: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.full(x.shape, self.mean_spend) if self.spending is None else self.spending.expected_spend(x, average)


class HistoricalRate:
    """The baseline: everybody goes on at the rate of the past, ``x / T`` purchases a day."""

    def __init__(self, params: LifetimeValueParams) -> None:
        self.params = params
        self.rate: float | None = None

    def fit(self, examples: Examples) -> HistoricalRate:
        """Learn the rate of all users together, for those who have been watched for no time yet."""
        from capflow_assets.learning.frames import matrix

        x, _, T = _history(matrix(examples.columns, COLUMNS))
        self.rate = float(x.sum() / T.sum()) if T.sum() > 0 else 0.0
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score`` = ``expected_purchases`` over the horizon. A user counts as watched for a week at least."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted, matrix

        overall = fitted(self.rate, "historical rate")
        x, _, T = _history(matrix(examples.columns, COLUMNS))
        # Without the week, one early return visit would promise a purchase a day.
        rate = np.where(T > 0, x / np.maximum(T, 1.0), overall)
        purchases = rate * self.params.horizon_days / WEEK_DAYS
        columns = {"score": purchases, "expected_purchases": purchases, "reasons": "the rate of the past goes on"}
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """The rate of all users together, purchases a week."""
        return {"purchases_per_week": self.rate}


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """How often and for how much each user buys in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``purchases`` (distinct local days with a
    visit), ``spend`` (sum of positive bills, currency).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.sums import exact_sum
    from capflow_assets.learning.outcomes import example_key, visits_within

    return (
        visits_within(bills, start, end)
        .groupBy(*example_key(bills))
        .agg(
            F.count_distinct("billed_on").cast("int").alias("purchases"),
            exact_sum(F.col("amount")).alias("spend"),
        )
    )


def calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How far the expected purchases of all users add up to the actual ones, as a share of those."""
    from capflow_assets.learning.calibration import ratio_error

    return ratio_error(outcomes["purchases"], answers["expected_purchases"])


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
    actual, expected = frame["actual"].sum(), frame["expected"].sum()
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(means.index, means["actual"], marker="o", label="actual")
    axes.plot(means.index, means["expected"], marker="s", linestyle="--", label="expected")
    axes.set_xticks(range(most + 1), [*map(str, range(most)), f"{most}+"])
    axes.set_xlabel("repeat visits before")
    axes.set_ylabel("purchases in the horizon, mean")
    axes.set_title(f"{expected:,.0f} purchases expected, {actual:,.0f} came")
    axes.legend()
    return figure


def _history(state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``x``, ``t_x``, ``T`` in weeks. Nulls count as 0; the last visit is never before the first."""
    import numpy as np

    visits, tenure, recency = (state[name].fillna(0.0).to_numpy() for name in COLUMNS[:3])
    x, T = np.maximum(visits - 1, 0.0), np.maximum(tenure, 0.0)
    t_x: np.ndarray = np.where(x > 0, np.clip(T - recency, 0.0, T), 0.0)
    return x, t_x / WEEK_DAYS, T / WEEK_DAYS


def _reasons(
    x: np.ndarray, since: np.ndarray, alive: np.ndarray, purchases: np.ndarray, spend: np.ndarray, horizon_days: int
) -> list[str]:
    from capflow_assets.learning.explanations import singular

    return [
        singular(
            f"visits after the first: {repeats:.0f}, the last {weeks * WEEK_DAYS:.0f} days ago; "
            f"{chance:.0%} likely to be active; {count:.2f} visits of {value:,.2f} expected in {horizon_days} days"
        )
        if repeats
        else singular(
            f"one visit, {weeks * WEEK_DAYS:.0f} days ago; "
            f"{count:.2f} visits of {value:,.2f} expected in {horizon_days} days"
        )
        for repeats, weeks, chance, count, value in zip(x, since, alive, purchases, spend, strict=True)
    ]


MODEL = Model(
    question="How often will each user buy, and what will that be worth?",
    family="lifetime value",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=30),
    reads=(Reads("features/rfm", COLUMNS),),
    outcome=Outcome(outcome, ("purchases", "spend")),
    params=LifetimeValueParams,
    candidates=(
        Candidate("BG/NBD and Gamma-Gamma", LifetimeValue),
        Candidate("the rate of the past", HistoricalRate, is_baseline=True),
    ),
    # The expected purchases are a conditional mean, which the squared error is proper for; the absolute error would
    # reward promising 0 to everybody, since most users of most retailers buy nothing in a given quarter.
    metric=rmse("purchases", "expected_purchases"),
    # A season in the horizon, which the model is blind to, moves the sum of purchases; past a quarter a person decides.
    rules=(Rule("calibrated", calibration, "its calibration error", at_most=0.25),),
    fitted="now",
    plot=plot,
)
