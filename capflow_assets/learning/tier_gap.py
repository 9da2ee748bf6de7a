"""The gap to the next tier of spend: how much is missing, and in how many days it closes at the user's own rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from capflow_assets.contract import Examples, Horizon
from capflow_assets.learning.boosting import BoostedChance
from capflow_assets.learning.chances import ChanceEstimator
from capflow_assets.learning.single_column import SingleColumn
from capflow_assets.learning.spend_tiers import YEAR_DAYS, SpendTiers
from capflow_assets.learning.spline_logistic import SplineLogistic

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

YEAR, QUARTER, TENURE = "spend_364d", "spend_91d", "tenure_days"
READ = (YEAR, QUARTER, TENURE, "spend_avg")
QUARTER_DAYS = 91
LONGEST_DAYS = 3650.0
OWN = {
    "missing": "{:,.2f} missing to the next tier",
    "gap_closes_days": "{:.0f} days to the next tier at the rate of the year",
    "gap_closes_days_lately": "{:.0f} days to it at the rate of the last 91 days",
    "missing_visits": "{:.1f} usual visits to it",
}


def tiers_of(year_spend: np.ndarray, tiers: SpendTiers) -> list[float]:
    """Where tiers begin: as given, else the quantiles, worked out from those below the top one alone.

    They are a share ``q`` of all who spent, the last of the quantiles, so that of theirs the quantile ``p / q`` is that
    of ``p`` of all.

    >>> import numpy as np
    >>> tiers_of(np.arange(1.0, 96.0), SpendTiers.model_validate({}))
    [50.47, 80.16, 95.0]
    """
    import numpy as np

    if tiers.thresholds:
        return list(tiers.thresholds)
    spent = year_spend[year_spend > 0]
    if not spent.size:
        return []
    top = tiers.quantiles[-1]
    return [round(float(np.quantile(spent, share / top)), 2) for share in tiers.quantiles]


def gap(columns: pd.DataFrame, begins: np.ndarray) -> dict[str, np.ndarray]:
    """Of each user ``OWN``: what is missing, and how long it lasts; 10 years at most, NaN where nothing is known.

    ``begins`` says for each user where tiers begin, a column per tier.
    """
    import numpy as np

    from capflow_assets.learning.frames import matrix

    known = matrix(columns, READ)
    year, quarter, tenure, visit = known.to_numpy().T
    spent = np.nan_to_num(year)
    above = np.where(begins > spent[:, None], begins, np.inf).min(axis=1, initial=np.inf)
    missing = np.where(np.isfinite(above), above - spent, np.nan)

    def closes(paid: np.ndarray, days: float) -> np.ndarray:
        rate = np.maximum(np.nan_to_num(paid), 0.0) / np.clip(np.nan_to_num(tenure) + 1, 1, days)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.minimum(missing / rate, LONGEST_DAYS)

    visits = missing / np.where(visit > 0, visit, np.nan)
    values = (missing, closes(year, YEAR_DAYS), closes(quarter, QUARTER_DAYS), np.minimum(visits, LONGEST_DAYS))
    return dict(zip(OWN, values, strict=True))


class Begins:
    """Where tiers began at the moments that were learned from, oldest first, and where they begin at a later one.

    A year's spend grows while the history is younger than a year, and quantiles of it with it: they go on as they went
    from the last moment but one to the last, for twice as long at most.
    """

    def __init__(self, days: list[float], values: list[list[float]]) -> None:
        self.days = days
        self.values = values

    @classmethod
    def of(cls, examples: Examples, tiers: SpendTiers) -> Begins:
        """Those of the examples' moments."""
        import numpy as np

        from capflow_assets.learning.example_weights import drawn_alike, example_weights
        from capflow_assets.learning.frames import matrix

        spent = np.nan_to_num(matrix(examples.columns, (YEAR,))[YEAR].to_numpy())
        number, weights = _numbers(examples), example_weights(examples.outcomes)
        if weights is not None:
            is_alike = drawn_alike(weights, np.random.default_rng(0).random(weights.size))
            spent, number = spent[is_alike], number[is_alike]
        values = [tiers_of(spent[number == place], tiers) for place in range(max(1, len(examples.moments)))]
        return cls([moment.timestamp() / 86_400 for moment in examples.moments], values)

    def of_rows(self, examples: Examples) -> np.ndarray:
        """Where tiers begin for each example that was learned from, or for all at the moment that is answered for."""
        import numpy as np

        days = [moment.timestamp() / 86_400 for moment in examples.moments]
        rows = [self.at(day) for day in days] or [self.at(None)]
        return np.array(rows).reshape(len(rows), -1)[np.minimum(_numbers(examples), len(rows) - 1)]

    def at(self, day: float | None) -> np.ndarray:
        """Where tiers begin on a day."""
        import numpy as np

        if day in self.days:
            return np.array(self.values[self.days.index(day)])
        last = np.array(self.values[-1])
        if day is None or len(self.values) < 2 or len(self.values[-2]) != len(last):
            return last
        ahead = (day - self.days[-1]) / (self.days[-1] - self.days[-2])
        return np.maximum.accumulate(last + np.clip(ahead, 0.0, 2.0) * (last - np.array(self.values[-2])))


def _numbers(examples: Examples) -> np.ndarray:
    """Which of the moments each example is of."""
    import numpy as np

    if "moment" not in examples.columns.columns:
        return np.full(len(examples), max(0, len(examples.moments) - 1))
    return examples.columns["moment"].to_numpy(dtype=int)


class _OfTheGap(ChanceEstimator[Any]):
    """A chance from the gap to the next tier and the columns of ``words``; a kind of chance says how."""

    def __init__(self, params: Horizon, outcome: str, words: Mapping[str, str]) -> None:
        super().__init__(params, outcome, {**OWN, **words})
        self.read = tuple(words)
        self.days: list[float] = []
        self.begins: list[list[float]] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(dict.fromkeys((*self.read, *READ)))

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted; it needs its columns, and no others."""
        return self._another(self.words)

    def fit(self, examples: Examples) -> Self:
        """As any chance; first it is settled where tiers begin."""
        self._settle(examples)
        return super().fit(examples)

    def refit(self, examples: Examples) -> Self:
        """As any chance, with the tiers of the newest moments."""
        self._settle(examples)
        return super().refit(examples)

    def parameters(self) -> dict[str, Any]:
        """As of any chance, and where tiers begin."""
        return {**super().parameters(), "tiers_begin": self.begins[-1:]}

    def _settle(self, examples: Examples) -> None:
        settled = Begins.of(examples, _tiers(self.params))
        self.days, self.begins = settled.days, settled.values

    def _another(self, words: Mapping[str, str]) -> Self:
        another = type(self)(self.params, self.outcome, {name: self.words[name] for name in self.read})
        another.days, another.begins = self.days, self.begins
        return another

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        # A user is there once for each moment: columns are put together by place.
        own = gap(examples.columns, Begins(self.days, self.begins or [[]]).of_rows(examples))
        return matrix(examples.columns, self.read).assign(**own)[list(self.words)]


class GapSplines(_OfTheGap, SplineLogistic):
    """A logistic regression with curves over the gap to the next tier and the columns of ``words``."""


class GapTrees(_OfTheGap, BoostedChance):
    """Boosted trees over the gap to the next tier and the columns of ``words``."""


class GapAlone(SingleColumn):
    """The baseline: the fewer days the gap takes at the user's own rate of the year, the likelier it is closed."""

    def __init__(self, params: Horizon, outcome: str) -> None:
        word = "what is missing to the next tier over the own rate of spend"
        super().__init__(params, outcome, "gap_closes_days", word, grows=False)
        self.days: list[float] = []
        self.begins: list[list[float]] = []

    def fit(self, examples: Examples) -> GapAlone:
        """As of any single column; first it is settled where tiers begin."""
        settled = Begins.of(examples, _tiers(self.params))
        self.days, self.begins = settled.days, settled.values
        super().fit(examples)
        return self

    def parameters(self) -> dict[str, Any]:
        """The curve's corners, and where tiers begin."""
        return {**super().parameters(), "tiers_begin": self.begins[-1:]}

    def _values(self, examples: Examples) -> np.ndarray:
        return gap(examples.columns, Begins(self.days, self.begins or [[]]).of_rows(examples))[self.column]


def _tiers(params: Horizon) -> SpendTiers:
    given = params.model_dump(include={"thresholds", "quantiles"})
    return SpendTiers.model_validate(given)
