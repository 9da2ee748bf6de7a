"""Gradient-boosted trees that give an amount, most of which is nothing: in two parts, or as one Tweedie mean.

In two parts: the chance to spend anything, times the amount of those who do (Duan et al. 1983). As one: the mean of a
Tweedie distribution (Yang, Qian & Zou 2018). Both are grown on past moments; the newest is held out of the trees and
calibrates level and spread (``learning.amounts``). Reasons are the trees' contributions to the logarithm of the amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from capflow_assets.contract import Examples, Search
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.chances import LARGEST, held_out
from capflow_assets.learning.column_menu import MenuParams

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

    from capflow_assets.learning.amounts import AmountBands, AmountCalibrator

AMOUNT_TYPES = (
    "xgboost.core.Booster",
    "capflow_assets.learning.amounts.AmountCalibrator",
    "capflow_assets.learning.amounts.AmountBands",
)
# Above this share of the amounts above 0 they count as this one: a bill of a wholesaler must not bend every tree.
CAPPED_SHARE = 0.999
LEAST_AMOUNTS = 20


class AmountParams(MenuParams):
    """What a person or the tuner may set for trees that give an amount."""

    tweedie_power: Annotated[float, Search(1.1, 1.9)] = Field(
        1.5, gt=1, lt=2, description="Of the Tweedie distribution: near 1 counts weigh most, near 2 sizes."
    )


class BoostedAmount:
    """What the candidates share.

    ``outcome`` is the column of the outcomes that is forecast. ``words`` are the columns that are read, each with a
    text that has a place for its value. A forecast is never above ``cap``, the largest amount but for one in a thousand
    of those that were learned from.
    """

    saved_types: ClassVar[tuple[str, ...]] = AMOUNT_TYPES

    def __init__(self, params: AmountParams, outcome: str, words: Mapping[str, str]) -> None:
        self.params = params
        self.outcome = outcome
        self.words = dict(words)
        self.trees: dict[str, xgboost.Booster] = {}
        self.unit = 1.0
        self.cap = 0.0
        self.calibrator: AmountCalibrator | None = None
        self.bands: AmountBands | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(self.words)

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted, that reads these columns only."""
        return type(self)(self.params, self.outcome, {name: self.words[name] for name in columns})

    def fit(self, examples: Examples) -> Self:
        """Grow the trees on the older moments, calibrate on the newest (of one moment a fifth is held out).

        Raises:
            EvidenceError: hardly anybody spent anything, or everybody the same.
            ModelError: there are no outcomes.
        """
        from capflow_assets.learning.amounts import fit_amount_bands, fit_amount_calibrator
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)  # subsamples are drawn by place
        spent = amounts(examples, self.outcome)
        is_held_out = held_out(examples.columns, self.params.seed)
        state = self._matrix(examples)
        self._grow(state[~is_held_out], spent[~is_held_out])
        actual, raw = spent[is_held_out], self._raw(state[is_held_out])
        self.calibrator = fit_amount_calibrator(actual.clip(max=self.cap), raw)
        self.bands = fit_amount_bands(actual, self._expected(raw))
        return self

    def refit(self, examples: Examples) -> Self:
        """The same recipe on all that is known; the calibrator and the bands stay, as no example is left for them."""
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)
        newer = type(self)(self.params, self.outcome, self.words)
        newer._grow(newer._matrix(examples), amounts(examples, self.outcome))
        newer.calibrator, newer.bands = self.calibrator, self.bands
        return newer

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the expected amount (currency over the horizon); the ends of its 80 % interval; ``reasons``."""
        from capflow_assets.learning.explanations import reasons

        state = self._matrix(examples)
        answers = self._figures(state)
        return answers.assign(reasons=reasons(state, self._contributions(state), self.words) if len(state) else [])

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without the reasons."""
        return self._figures(self._matrix(examples))

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the cap, the calibrator, the bands, and each feature's share of the gain."""
        gains: list[dict[str, Any]] = [dict(trees.get_score(importance_type="total_gain")) for trees in self._boosters]
        shares = [{name: value / (sum(gain.values()) or 1.0) for name, value in gain.items()} for gain in gains]
        count = max(len(shares), 1)
        return {
            **self.params.model_dump(),
            "cap": self.cap,
            "calibrator": None if self.calibrator is None else dict(vars(self.calibrator)),
            "bands": None if self.bands is None else self.bands.describe(),
            "gain_share": {name: round(sum(s.get(name, 0.0) for s in shares) / count, 4) for name in self.words},
        }

    @property
    def _boosters(self) -> list[xgboost.Booster]:
        return list(self.trees.values())

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, tuple(self.words)).clip(-LARGEST, LARGEST)

    def _grow(self, state: pd.DataFrame, spent: np.ndarray) -> None:
        import numpy as np

        positive = spent[spent > 0]
        if positive.size < LEAST_AMOUNTS or np.unique(spent).size < 2:
            raise EvidenceError(
                f"{self.outcome} cannot be learned",
                expected=f"at least {LEAST_AMOUNTS} amounts above 0, and some that differ",
                came=f"{positive.size} above 0 of {spent.size}",
                where="training examples",
                do="wait for more history or choose a longer horizon",
            )
        self.cap = float(np.quantile(positive, CAPPED_SHARE))
        self.unit = float(spent.clip(max=self.cap).mean())
        self._grow_parts(state, spent.clip(min=0.0, max=self.cap) / self.unit)

    def _trained(self, state: pd.DataFrame, label: np.ndarray, objective: str, **settings: float) -> xgboost.Booster:
        import xgboost

        training = xgboost.DMatrix(state, label=label, nthread=self.params.threads)
        chosen = {**self.params.settings(objective), **settings}
        return xgboost.train(chosen, training, num_boost_round=self.params.rounds)

    def _margins(self, part: str, state: pd.DataFrame, *, by_column: bool = False) -> np.ndarray:
        """What a part's trees add up to, in logarithms or log-odds; or what each column brought to it."""
        import numpy as np
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees.get(part), type(self).__name__)
        if not len(state):
            return np.empty((0, state.shape[1]) if by_column else 0)
        rows = xgboost.DMatrix(state, nthread=self.params.threads)
        if by_column:
            return trees.predict(rows, pred_contribs=True)[:, :-1].astype(float)
        return trees.predict(rows, output_margin=True).astype(float)

    def _expected(self, raw: np.ndarray) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted

        return np.minimum(fitted(self.calibrator, type(self).__name__).apply(raw), self.cap)

    def _figures(self, state: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        from capflow_assets.learning.frames import fitted

        expected = self._expected(self._raw(state))
        low, high = fitted(self.bands, type(self).__name__).of(expected)
        return pd.DataFrame({"score": expected, "low_80": low, "high_80": high}, index=state.index)

    def _grow_parts(self, state: pd.DataFrame, label: np.ndarray) -> None:
        raise NotImplementedError

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError


class TweedieAmount(BoostedAmount):
    """One mean, of amounts that are nothing for many."""

    def _grow_parts(self, state: pd.DataFrame, label: np.ndarray) -> None:
        power = self.params.tweedie_power
        trees = self._trained(state, label, "reg:tweedie", tweedie_variance_power=power, base_score=1.0)
        self.trees = {"mean": trees}

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np

        return np.asarray(self.unit * np.exp(self._margins("mean", state)))

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        return self._margins("mean", state, by_column=True)


class TwoPartAmount(BoostedAmount):
    """The chance to spend anything, times the amount of those who do."""

    def _grow_parts(self, state: pd.DataFrame, label: np.ndarray) -> None:
        import numpy as np

        is_positive = label > 0
        mean = float(np.mean(label[is_positive]))
        self.trees = {
            "chance": self._trained(state, is_positive.astype(float), "binary:logistic"),
            "amount": self._trained(state[is_positive], label[is_positive], "reg:gamma", base_score=mean),
        }

    def _raw(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np
        from scipy.special import expit

        return np.asarray(self.unit * expit(self._margins("chance", state)) * np.exp(self._margins("amount", state)))

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        # d log p = (1 - p) d log-odds: to first order, what moved the chance moved the amount's logarithm by so much.
        from scipy.special import expit

        rest = 1 - expit(self._margins("chance", state))
        chance = self._margins("chance", state, by_column=True)
        return rest[:, None] * chance + self._margins("amount", state, by_column=True)


def amounts(examples: Examples, outcome: str) -> np.ndarray:
    """The amount of each example: a column of ``examples.outcomes``, finite ones only, nothing where below 0.

    Raises:
        ModelError: there is not one outcome per example.
    """
    import numpy as np

    outcomes = examples.outcomes
    if outcomes is None or len(outcomes) != len(examples):
        received = "no outcomes" if outcomes is None else f"{len(outcomes)} outcomes for {len(examples)} examples"
        raise ModelError(f"{outcome} cannot be learned", expected="one outcome per example", came=received)
    values = outcomes[outcome].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise EvidenceError(
            f"{outcome} cannot be learned",
            expected="finite amounts",
            came=f"{int((~np.isfinite(values)).sum())} that are not, of {values.size}",
            do="look for amounts out of all proportion in the customer's bills",
        )
    return np.maximum(values, 0.0)
