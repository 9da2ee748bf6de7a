"""Boosted trees that say when a subject comes next, of examples some of whose times are not over.

An accelerated failure time model (Barnwal, Cho & Hocking 2022), whose median and spread are calibrated on a moment that
the trees have not seen. What estimators of times share is here: their answers and how they read outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.boosting import BoostingParams
from capflow_assets.learning.chances import LARGEST, held_out

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

    from capflow_assets.learning.survival import LogLogistic

TIME_TYPES = (
    "xgboost.core.Booster",
    "capflow_assets.learning.survival.LogLogistic",
    "capflow_assets.learning.renewals.Renewal",
)
# Two years: what is expected later is not expected.
MOST_DAYS = 730.0
LEAST_CAME = 20
AREA_POINTS = 25


class BoostedTime:
    """Trees over what subjects did. ``words`` are the columns that are read, each with a text that has its value."""

    saved_types: ClassVar[tuple[str, ...]] = TIME_TYPES

    def __init__(self, params: BoostingParams, words: Mapping[str, str]) -> None:
        self.params = params
        self.words = dict(words)
        self.trees: xgboost.Booster | None = None
        self.times: LogLogistic | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(self.words)

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted, that reads these columns only."""
        return type(self)(self.params, {name: self.words[name] for name in columns})

    def fit(self, examples: Examples) -> Self:
        """Grow the trees on the older moments, calibrate on the newest (of one moment a fifth is held out).

        Raises:
            EvidenceError: hardly anybody came.
        """
        from capflow_assets.learning.frames import in_order
        from capflow_assets.learning.survival import fit_log_logistic

        examples = in_order(examples)  # subsamples are drawn by place
        is_event, days = times_of(examples, self.params)
        is_held_out = held_out(examples.columns, self.params.seed)
        state = self._matrix(examples)
        self.trees = self._grown(state[~is_held_out], is_event[~is_held_out], days[~is_held_out])
        log_days = self._log_days(state[is_held_out])
        self.times = fit_log_logistic(is_event[is_held_out], days[is_held_out], log_days)
        return self

    def refit(self, examples: Examples) -> Self:
        """The same recipe on all that is known; the spread stays, as no example is left to calibrate on."""
        from capflow_assets.learning.frames import in_order

        examples = in_order(examples)
        newer = type(self)(self.params, self.words)
        newer.trees, newer.times = newer._grown(newer._matrix(examples), *times_of(examples, self.params)), self.times
        return newer

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The answers of ``time_answers``, with what moved the score most."""
        from capflow_assets.learning.explanations import reasons

        state = self._matrix(examples)
        # Trees give the logarithm of days: what adds to it makes the visit come later.
        texts = reasons(state, -self._contributions(state), self.words) if len(state) else []
        return self.figures(examples).assign(reasons=texts)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without the reasons."""
        from capflow_assets.learning.frames import fitted

        times, log_days = fitted(self.times, type(self).__name__), self._log_days(self._matrix(examples))
        return time_answers(
            examples,
            self.params,
            lambda days: times.survival(log_days, days),
            lambda share: times.quantile(log_days, share),
        )

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the spread, and each feature's share of the gain."""
        gain: dict[str, Any] = dict(self.trees.get_score(importance_type="total_gain")) if self.trees else {}
        total = sum(gain.values()) or 1.0
        return {
            **self.params.model_dump(),
            "times": None if self.times is None else dict(vars(self.times)),
            "gain_share": {name: round(gain.get(name, 0.0) / total, 4) for name in self.words},
        }

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, tuple(self.words)).clip(-LARGEST, LARGEST)

    def _grown(self, state: pd.DataFrame, is_event: np.ndarray, days: np.ndarray) -> xgboost.Booster:
        import numpy as np
        import xgboost

        require_came(is_event)
        rows = xgboost.DMatrix(state, nthread=self.params.threads)
        rows.set_float_info("label_lower_bound", np.where(is_event > 0, days - 1, days))
        rows.set_float_info("label_upper_bound", np.where(is_event > 0, days, np.inf))
        settings = self.params.settings("survival:aft")
        settings |= {"aft_loss_distribution": "logistic", "aft_loss_distribution_scale": 1.0}
        settings |= {"base_score": self.params.horizon_days / 2}
        return xgboost.train(settings, rows, num_boost_round=self.params.rounds)

    def _log_days(self, state: pd.DataFrame) -> np.ndarray:
        import numpy as np
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        if not len(state):
            return np.empty(0)
        rows = xgboost.DMatrix(state, nthread=self.params.threads)
        return trees.predict(rows, output_margin=True).astype(float)

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        import xgboost

        from capflow_assets.learning.frames import fitted

        trees = fitted(self.trees, type(self).__name__)
        rows = xgboost.DMatrix(state, nthread=self.params.threads)
        return trees.predict(rows, pred_contribs=True)[:, :-1].astype(float)


def time_answers(
    examples: Examples,
    params: Horizon,
    survival: Callable[[float], np.ndarray],
    quantile: Callable[[float], np.ndarray],
) -> pd.DataFrame:
    """The answers that a distribution of days gives, one row per example.

    ``score`` is the share of the horizon that is expected to be left when the subject comes: 1 for at once, 0 for not
    within it. ``chance`` to come within it; ``days`` until half have come, with the ends ``low_80`` and ``high_80`` of
    the interval (two years at most); ``expected_on``, the local day, null where that is not within two years;
    ``horizon_days``.
    """
    import numpy as np
    import pandas as pd

    horizon, index = params.horizon_days, examples.columns.index
    # The mean time until the visit or the horizon's end is the area under what is left, which falls fastest at first.
    points = horizon * np.linspace(0.0, 1.0, AREA_POINTS) ** 2
    area, left = np.zeros(len(index)), survival(0.0)
    for width, point in zip(np.diff(points), points[1:], strict=True):
        before, left = left, survival(float(point))
        area += width * (before + left) / 2
    days, low, high = (np.clip(quantile(share), 0.0, MOST_DAYS) for share in (0.5, 0.1, 0.9))
    columns = {
        "score": 1 - area / horizon,
        "chance": 1 - left,
        "days": days,
        "low_80": low,
        "high_80": high,
        "expected_on": _days_on(examples, days),
        "horizon_days": np.full(len(index), horizon, dtype=np.int64),
    }
    return pd.DataFrame(columns, index=index)


def times_of(examples: Examples, params: Horizon) -> tuple[np.ndarray, np.ndarray]:
    """Who came, and after how many days; those of the horizon for who did not.

    Raises:
        ModelError: there is not one outcome per example.
    """
    import numpy as np

    outcomes = examples.outcomes
    if outcomes is None or len(outcomes) != len(examples):
        came_text = "no outcomes" if outcomes is None else f"{len(outcomes)} outcomes for {len(examples)} examples"
        raise ModelError("Times cannot be learned", expected="one outcome per example", came=came_text)
    is_event = outcomes["came"].to_numpy(dtype=float) > 0
    days = np.clip(outcomes["days"].to_numpy(dtype=float), 1.0, params.horizon_days)
    return is_event.astype(float), np.where(is_event, days, float(params.horizon_days))


def _days_on(examples: Examples, days: np.ndarray) -> pd.Series:
    """The local days so far after the moment; null from two years on, and where no moment is known."""
    import numpy as np
    import pandas as pd

    from capflow_assets.expressions.days import local_day_of

    index = examples.columns.index
    if not examples.moments:
        return pd.Series(None, index=index, dtype=object)
    today = local_day_of(examples.moments[-1], examples.zone)
    calendar = np.array([*(today + timedelta(days=day) for day in range(int(MOST_DAYS))), None], dtype=object)
    return pd.Series(calendar[np.minimum(np.round(days), MOST_DAYS).astype(int)], index=index, dtype=object)


def require_came(is_event: np.ndarray) -> None:
    """Raises ``EvidenceError`` where fewer than twenty subjects came."""
    if is_event.sum() < LEAST_CAME:
        raise EvidenceError(
            "Times cannot be learned",
            expected=f"at least {LEAST_CAME} subjects who came within a past horizon",
            came=f"{int(is_event.sum())} of {is_event.size}",
            where="training examples",
            do="wait for more history or choose a longer horizon",
        )
