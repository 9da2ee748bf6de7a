"""Estimators of what users will be worth: how often they will buy, for how much, and how much of it they will keep.

``expected_value = expected_purchases * expected_spend * (1 - expected returned share)``: a model of buying and leaving
(``btyd``, ``mbg_cnbd``, ``pareto_nbd``), Gamma-Gamma (``gamma_gamma``) and a Beta (``returned_share``). All take users
to be steady while they stay: a season that lies in the horizon and not in the history is missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.btyd import BgNbd
    from capflow_assets.learning.gamma_gamma import GammaGamma
    from capflow_assets.learning.mbg_cnbd import MbgCnbd
    from capflow_assets.learning.pareto_nbd import ParetoNbd
    from capflow_assets.learning.returned_share import ReturnedShare
    from capflow_assets.learning.user_histories import UserHistories

    Buying = BgNbd | MbgCnbd | ParetoNbd

# Of features/rfm and features/rhythm.
OF_RFM = ("visits", "recency_days", "repeat_visit_spend_avg", "spend_total", "returns_total")
OF_RHYTHM = ("gap_days_avg", "gap_days_log_avg")
WEEK_DAYS = 7.0


class LifetimeParams(Horizon):
    """What a person may set for a value over a horizon."""

    horizon_days: int = Field(90, ge=1, le=730, description="Days after the as-of moment whose value is expected.")


class LifetimeEstimator:
    """What the estimators share: all but the model of buying and leaving, which ``buying_of`` fits."""

    saved_types: ClassVar[tuple[str, ...]] = (
        "capflow_assets.learning.btyd.BgNbd",
        "capflow_assets.learning.mbg_cnbd.MbgCnbd",
        "capflow_assets.learning.pareto_nbd.ParetoNbd",
        "capflow_assets.learning.gamma_gamma.GammaGamma",
        "capflow_assets.learning.returned_share.ReturnedShare",
    )

    def __init__(self, params: LifetimeParams) -> None:
        self.params = params
        self.buying: Buying | None = None
        self.spending: GammaGamma | None = None
        self.returning: ReturnedShare | None = None
        self.mean_spend = 0.0
        self.note = ""

    def buying_of(self, histories: UserHistories) -> Buying:
        """The model of buying and leaving, fitted."""
        raise NotImplementedError

    def fit(self, examples: Examples) -> LifetimeEstimator:
        """Learn from the users' state at one moment.

        Where too few users came back, or they differ too much for Gamma-Gamma, every visit is expected to bring the
        mean spend of all repeat visits. ``parameters()["note"]`` says so, and where spend falls with frequency.

        Raises ``EvidenceError`` when nobody bought twice, or nothing was paid by those who did.
        """
        from capflow_assets.learning.frames import in_order
        from capflow_assets.learning.returned_share import fit_returned_share
        from capflow_assets.learning.user_histories import histories_of

        # A search ends elsewhere where sums are of another order.
        histories = histories_of(in_order(examples).columns, buyers_only=True)
        self.buying = self.buying_of(histories)
        self._fit_spending(histories)
        self.returning = fit_returned_share(histories.visits, histories.returned_share)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As ``figures``, with ``reasons``."""
        from capflow_assets.learning.lifetime_reasons import reasons_of
        from capflow_assets.learning.user_histories import histories_of

        figures = self.figures(examples)
        words = reasons_of(histories_of(examples.columns), figures, self.params.horizon_days)
        return figures.assign(reasons=words)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """``score`` = ``expected_value`` (currency over the horizon, net of returns) and what it is made of.

        Those are ``expected_purchases``, ``expected_spend`` (currency per purchase, before returns) and
        ``returned_share``; besides, ``p_alive`` and ``repeat_visits``, the history's ``x``. A user of whom nothing is
        known is expected to be like a new one.
        """
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.user_histories import histories_of

        returning, buying = fitted(self.returning, "lifetime value"), self.buying
        assert buying is not None  # noqa: S101  (fitted before)
        histories = histories_of(examples.columns)
        history = histories.x, histories.t_x, histories.T
        purchases = buying.expected_purchases(*history, self.params.horizon_days / WEEK_DAYS)
        spend, returned = self._spend(histories), returning.expected(histories.visits, histories.returned_share)
        value = purchases * spend * (1 - returned)
        columns = {
            "score": value,
            "expected_value": value,
            "expected_purchases": purchases,
            "expected_spend": spend,
            "returned_share": returned,
            "p_alive": buying.p_alive(*history),
            "repeat_visits": histories.x.astype(np.int64),
        }
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """The parameters of the three models (weeks and currency), both log-likelihoods and the note."""
        parameters: dict[str, Any] = dict(self.buying.parameters()) if self.buying else {}
        if self.spending:
            spending = self.spending.parameters()
            parameters |= {name: spending[name] for name in ("p", "q", "gamma")}
            parameters |= {"spend_log_likelihood": spending["log_likelihood"], "spend_users": spending["users"]}
            parameters |= {"spend_slope": spending["slope"]}
        if self.returning:
            parameters |= {"returned_share": self.returning.mean}
        return {**parameters, "mean_spend": self.mean_spend, "note": self.note}

    def _fit_spending(self, histories: UserHistories) -> None:
        import numpy as np

        from capflow_assets.learning.gamma_gamma import fit_gamma_gamma

        x, average = histories.x, histories.average
        if not ((x > 0) & (average > 0)).any():
            raise EvidenceError(
                "Lifetime value cannot be fitted",
                expected="repeat visits with a positive spend",
                came=f"{int((x > 0).sum())} users with repeat visits, none of a positive spend",
            )
        try:
            self.spending = fit_gamma_gamma(x, average, histories.frequency)
            self.mean_spend, self.note = self.spending.mean_spend, _fall(self.spending)
        except ModelError as error:
            is_known = (x > 0) & (average >= 0)
            self.spending = None
            self.mean_spend = float(np.average(average[is_known], weights=x[is_known]))
            self.note = f"Every visit is expected to bring the mean spend: {' '.join(str(error).split())}"

    def _spend(self, histories: UserHistories) -> np.ndarray:
        import numpy as np

        if self.spending is None:
            return np.full(histories.x.shape, self.mean_spend)
        return self.spending.expected_spend(histories.x, histories.average, histories.frequency)


class BgNbdValue(LifetimeEstimator):
    """Users buy at random and may leave after each repeat purchase."""

    def buying_of(self, histories: UserHistories) -> BgNbd:
        """BG/NBD."""
        from capflow_assets.learning.btyd import fit_bg_nbd

        return fit_bg_nbd(histories.x, histories.t_x, histories.T)


class MbgCnbdValue(LifetimeEstimator):
    """Users buy in a rhythm and may leave after each purchase, the first one too."""

    def buying_of(self, histories: UserHistories) -> MbgCnbd:
        """MBG/CNBD-k."""
        from capflow_assets.learning.mbg_cnbd import fit_mbg_cnbd

        return fit_mbg_cnbd(histories.x, histories.t_x, histories.T, float(histories.log_gaps.sum()))


class ParetoNbdValue(LifetimeEstimator):
    """Users buy at random and may leave at any time."""

    def buying_of(self, histories: UserHistories) -> ParetoNbd:
        """Pareto/NBD."""
        from capflow_assets.learning.pareto_nbd import fit_pareto_nbd

        return fit_pareto_nbd(histories.x, histories.t_x, histories.T)


class HistoricalRate:
    """The baseline: everybody goes on at the rate of the past, ``x / T`` purchases a day, of the past's net spend."""

    def __init__(self, params: LifetimeParams) -> None:
        self.params = params
        self.rate: float | None = None
        self.spend = 0.0

    def fit(self, examples: Examples) -> HistoricalRate:
        """Learn the rate and the net spend of all users together, for those of whom nothing is known yet."""
        from capflow_assets.learning.user_histories import histories_of

        histories = histories_of(examples.columns)
        watched, visits = histories.T.sum(), histories.visits.sum()
        self.rate = float(histories.x.sum() / watched) if watched > 0 else 0.0
        self.spend = float(histories.net.sum() / visits) if visits > 0 else 0.0
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score`` = ``expected_value`` and ``expected_purchases`` over the horizon.

        A user counts as watched for a week at least: without it, one early return would promise a purchase a day.
        """
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.user_histories import histories_of

        overall, histories = fitted(self.rate, "historical rate"), histories_of(examples.columns)
        rate = np.where(histories.T > 0, histories.x / np.maximum(histories.T, 1.0), overall)
        spend = np.where(histories.visits > 0, histories.net / np.maximum(histories.visits, 1.0), self.spend)
        purchases = rate * self.params.horizon_days / WEEK_DAYS
        columns = {
            "score": purchases * spend,
            "expected_value": purchases * spend,
            "expected_purchases": purchases,
            "reasons": "the rate of the past goes on",
        }
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """The rate of all users together, purchases a week, and their net spend per purchase."""
        return {"purchases_per_week": self.rate, "spend_per_purchase": self.spend}


def _fall(spending: GammaGamma) -> str:
    if not spending.slope:
        return ""
    return (
        f"Spend per visit falls with frequency: users who come twice as often spend {spending.fall:.0%} less a visit. "
        "What is expected of a user takes that into account."
    )
