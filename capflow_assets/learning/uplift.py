"""What a treatment changes in each row: T- and X-learners on XGBoost, over arrays.

S. R. Künzel, J. S. Sekhon, P. J. Bickel, B. Yu, "Metalearners for estimating heterogeneous treatment effects using
machine learning", PNAS 116(10), 2019. Rows weigh as ``qini.group_weights`` says, so that treated and held out are the
same mixture of lots: else the season of a campaign that held few out would pass for its effect. Same data, settings and
seed give the same trees. Cost: two trainings of a T-learner, four of an X-learner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost

Settings = dict[str, Any]


@dataclass(frozen=True)
class Responses:
    """The expected outcome if treated and if not, each learnt from those rows alone; their difference is a T-learner.

    ``treated_share`` is the share of the training's rows that were treated.
    """

    if_treated: xgboost.Booster
    if_not: xgboost.Booster
    treated_share: float

    def predict(self, state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The outcome of each row if treated, and if not."""
        return predicted(self.if_treated, state), predicted(self.if_not, state)

    def effect(self, state: pd.DataFrame) -> np.ndarray:
        """The difference that treatment makes, in outcome."""
        treated, not_treated = self.predict(state)
        return treated - not_treated

    def contributions(self, state: pd.DataFrame) -> np.ndarray:
        """What each column adds to the effect of each row (SHAP values; a row's sum is its effect less the average)."""
        return contributions(self.if_treated, state) - contributions(self.if_not, state)


@dataclass(frozen=True)
class Effects:
    """The second stage of an X-learner: the effect learnt from the treated and from those held out, and their mean.

    Each weighs by the other's share: where few were held out, what is imputed to them by the well-known outcomes of
    the treated is the better half (Künzel et al., eq. 9, with g = the propensity).
    """

    of_treated: xgboost.Booster
    of_not: xgboost.Booster
    treated_share: float

    def effect(self, state: pd.DataFrame) -> np.ndarray:
        """The difference that treatment makes, in outcome."""
        return self._mean(predicted(self.of_treated, state), predicted(self.of_not, state))

    def contributions(self, state: pd.DataFrame) -> np.ndarray:
        """What each column adds to the effect of each row (SHAP values; a row's sum is its effect less the average)."""
        return self._mean(contributions(self.of_treated, state), contributions(self.of_not, state))

    def _mean(self, of_treated: np.ndarray, of_not: np.ndarray) -> np.ndarray:
        return (1 - self.treated_share) * of_treated + self.treated_share * of_not


def fit_responses(
    state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray, settings: Settings, rounds: int
) -> Responses:
    """Learn the outcome from the treated, and from those held out.

    ``settings`` are XGBoost's; rows of weight 0 are left out. Both groups need a row: ``qini.group_weights`` leaves
    no other lot a weight.
    """
    groups = [(weight > 0) & (treated > 0), (weight > 0) & (treated <= 0)]
    of_treated, of_not = (trained(state[group], outcome[group], weight[group], settings, rounds) for group in groups)
    return Responses(of_treated, of_not, float(groups[0].sum() / max(groups[0].sum() + groups[1].sum(), 1)))


def fit_effects(
    responses: Responses,
    state: pd.DataFrame,
    outcome: np.ndarray,
    treated: np.ndarray,
    weight: np.ndarray,
    settings: Settings,
    rounds: int,
) -> Effects:
    """Learn the effect from what each row would have done otherwise (Künzel et al., eq. 7 and 8)."""
    if_treated, if_not = responses.predict(state)
    imputed = np.where(treated > 0, outcome - if_not, if_treated - outcome)
    groups = [(weight > 0) & (treated > 0), (weight > 0) & (treated <= 0)]
    of_treated, of_not = (trained(state[group], imputed[group], weight[group], settings, rounds) for group in groups)
    return Effects(of_treated, of_not, responses.treated_share)


def trained(
    state: pd.DataFrame, target: np.ndarray, weight: np.ndarray, settings: Settings, rounds: int
) -> xgboost.Booster:
    """Trees of the expected ``target``, each row counting by its weight."""
    # Weights with a mean of 1, so that the least weight of a leaf counts rows in both groups.
    rows = xgboost.DMatrix(state, label=target, weight=weight / weight.mean(), nthread=settings.get("nthread"))
    return xgboost.train({"objective": "reg:squarederror", "tree_method": "hist", **settings}, rows, rounds)


def predicted(trees: xgboost.Booster, state: pd.DataFrame) -> np.ndarray:
    """What the trees say of each row."""
    return np.asarray(trees.predict(xgboost.DMatrix(state)), dtype=float)


def contributions(trees: xgboost.Booster, state: pd.DataFrame) -> np.ndarray:
    """What each column adds to what the trees say of each row (SHAP values)."""
    values = trees.predict(xgboost.DMatrix(state), pred_contribs=True)
    return np.asarray(values, dtype=float)[:, :-1]  # the last is everybody's average
