"""The gap to the next tier of spend: how much is missing, and in how many days it closes at the user's own rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from capflow_assets.contract import Examples, Horizon
from capflow_assets.learning.single_column import SingleColumn
from capflow_assets.learning.spend_tiers import YEAR_DAYS, SpendTiers
from capflow_assets.learning.spline_logistic import SplineLogistic

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

YEAR, QUARTER, TENURE = "spend_364d", "spend_91d", "tenure_days"
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


def gap(columns: pd.DataFrame, begins: list[float]) -> dict[str, np.ndarray]:
    """Of each user ``OWN``: what is missing, and how long it lasts; 10 years at most, NaN where nothing is known."""
    import numpy as np

    from capflow_assets.learning.frames import matrix

    known = matrix(columns, (YEAR, QUARTER, TENURE, "spend_avg"))
    year, quarter, tenure, visit = known.to_numpy().T
    edges = np.array([*begins, np.inf])
    following = edges[np.searchsorted(edges[:-1], np.nan_to_num(year), side="right")]
    missing = np.where(np.isfinite(following), following - year, np.nan)

    def closes(spent: np.ndarray, days: float) -> np.ndarray:
        watched = np.clip(tenure + 1, 1, days)
        rate = np.maximum(spent, 0.0) / watched
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.minimum(missing / rate, LONGEST_DAYS)

    visits = missing / np.where(visit > 0, visit, np.nan)
    values = (missing, closes(year, YEAR_DAYS), closes(quarter, 91), np.minimum(visits, LONGEST_DAYS))
    return dict(zip(OWN, values, strict=True))


def _year_spend(examples: Examples) -> np.ndarray:
    """The year's spend of the subjects of the newest moment."""
    import numpy as np

    from capflow_assets.learning.frames import matrix

    columns = examples.columns
    newest = columns[columns["moment"] == columns["moment"].max()] if "moment" in columns.columns else columns
    return np.nan_to_num(matrix(newest, (YEAR,))[YEAR].to_numpy())


class GapSplines(SplineLogistic):
    """A logistic regression with curves over the gap to the next tier and the columns of ``words``."""

    def __init__(self, params: Horizon, outcome: str, words: Mapping[str, str]) -> None:
        super().__init__(params, outcome, {**OWN, **words})
        self.read = tuple(words)
        self.begins: list[float] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(dict.fromkeys((*self.read, YEAR, QUARTER, TENURE, "spend_avg")))

    def using(self, columns: tuple[str, ...]) -> Self:
        """Another of the same recipe, not fitted; it needs its columns, and no others."""
        return self._another(self.words)

    def fit(self, examples: Examples) -> Self:
        """As any chance; first it is settled where tiers begin."""
        self.begins = tiers_of(_year_spend(examples), _tiers(self.params))
        return super().fit(examples)

    def parameters(self) -> dict[str, Any]:
        """As of any chance, and where tiers begin."""
        return {**super().parameters(), "tiers_begin": self.begins}

    def _another(self, words: Mapping[str, str]) -> Self:
        another = type(self)(self.params, self.outcome, {name: self.words[name] for name in self.read})
        another.begins = self.begins
        return another

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        from capflow_assets.learning.frames import matrix

        # A user is there once for each moment: columns are put together by place.
        read = matrix(examples.columns, self.read)
        return read.assign(**gap(examples.columns, self.begins))[list(self.words)]


class GapAlone(SingleColumn):
    """The baseline: the fewer days the gap takes at the user's own rate of the year, the likelier it is closed."""

    def __init__(self, params: Horizon, outcome: str) -> None:
        word = "what is missing to the next tier over the own rate of spend"
        super().__init__(params, outcome, "gap_closes_days", word, grows=False)
        self.begins: list[float] = []

    def fit(self, examples: Examples) -> GapAlone:
        """As of any single column; first it is settled where tiers begin."""
        self.begins = tiers_of(_year_spend(examples), _tiers(self.params))
        super().fit(examples)
        return self

    def parameters(self) -> dict[str, Any]:
        """The curve's corners, and where tiers begin."""
        return {**super().parameters(), "tiers_begin": self.begins}

    def _values(self, examples: Examples) -> np.ndarray:
        return gap(examples.columns, self.begins)[self.column]


def _tiers(params: Horizon) -> SpendTiers:
    given = params.model_dump(include={"thresholds", "quantiles"})
    return SpendTiers.model_validate(given)
