"""Whether a feature knows what it should not: one that is almost the label, or whose missing values give it away.

A model that learns from such a column looks perfect on the past and knows nothing at night. Three figures per column
and label, each bounded from below at 95 %, so that a handful of examples proves nothing:

- **order**: the AUC of the column alone against "the label is above 0" (Hanley & McNeil 1982), either way round;
- **amount**, for labels of more than two values: R² of the ranks, or of the values without their outermost hundredth;
- **missing**: the AUC of "the column is empty".

The AUC's bound is Wilson's for a share among the examples of the rarer class, which does not shrink to nothing where
the order is perfect; that of R² is Fisher's. A single feature of honest history stays far below: days since the last
visit, the best of them, reaches an AUC of 0.7 to 0.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.contract import Finding

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Z = 1.645
# Ranks cost n log n a column; the figures are as sharp on so many.
MOST_ROWS = 100_000
LEAST_ROWS = 20
NAMED = 3
WORDS = {
    "order": "alone orders the users by {label} with an AUC of {value:.3f} (at least {low:.3f})",
    "amount": "alone explains {label} with an R² of {value:.3f} (at least {low:.3f})",
    "missing": "is missing so that it tells {label}, with an AUC of {value:.3f} (at least {low:.3f})",
}


@dataclass(frozen=True, slots=True)
class Leak:
    """One figure of one column against one label: what kind, its value and its lower bound."""

    column: str
    label: str
    kind: str
    value: float
    low: float

    def __str__(self) -> str:
        return f"{self.column} {WORDS[self.kind].format(label=self.label, value=self.value, low=self.low)}"


def leaks(features: pd.DataFrame, labels: pd.DataFrame, columns: Sequence[str] | None = None) -> list[Leak]:
    """All figures, the most telling first; rows of the two frames are aligned by position.

    One ``Leak`` per column, label and kind. Columns that are no numbers are ordered by how often their
    value goes with the label in the other half of the rows.

    >>> import pandas as pd
    >>> bought = pd.DataFrame({"bought": [1.0, 0.0] * 100})
    >>> told = leaks(pd.DataFrame({"visits": range(200), "paid_after": bought["bought"] * 7}), bought)
    >>> print(told[0])
    paid_after alone orders the users by bought with an AUC of 1.000 (at least 0.974)
    """
    import numpy as np

    if len(labels) < LEAST_ROWS:
        return []
    rows = np.arange(len(labels))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    names = [name for name in (columns or features.columns) if name in features.columns]
    figures = [
        leak
        for label in labels.columns
        for name in names
        for leak in _of(name, features[name].iloc[rows], str(label), labels[label].to_numpy(dtype=float)[rows])
    ]
    return sorted(figures, key=lambda leak: (-leak.low, -leak.value, leak.column))


def judge(
    figures: Sequence[Leak], *, auc_at_most: float = 0.95, r2_at_most: float = 0.95, missing_auc_at_most: float = 0.9
) -> Finding:
    """Whether no column's lower bound passes what a single feature may tell of the label. Blocks a promotion."""
    over = _over(figures, auc_at_most, r2_at_most, missing_auc_at_most)
    named = list(dict.fromkeys(leak.column for leak in over))
    worst = [next(leak for leak in over if leak.column == name) for name in named]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    words = "; ".join(str(leak) for leak in worst[:NAMED])
    do = "make sure that it reads nothing after the as-of moment, or take it out of the model's columns"
    largest = figures[0] if figures else None
    return Finding(
        check="leakage",
        passed=not over,
        message=f"{words}{more}: {do}" if over else "no feature alone tells the label",
        severity="block",
        found={
            "leaking": len(named),
            "largest": largest.value if largest else None,
            "column": largest.column if largest else None,
        },
        sample=tuple(
            {"column": leak.column, "label": leak.label, "kind": leak.kind, "value": leak.value, "low": leak.low}
            for leak in over[:10]
        ),
    )


def leaking(
    figures: Sequence[Leak], *, auc_at_most: float = 0.95, r2_at_most: float = 0.95, missing_auc_at_most: float = 0.9
) -> dict[str, Leak]:
    """By column the most telling figure that passes its bound; see ``judge``."""
    over = _over(figures, auc_at_most, r2_at_most, missing_auc_at_most)
    return {leak.column: leak for leak in reversed(over)}


def _over(figures: Sequence[Leak], auc: float, r2: float, missing_auc: float) -> list[Leak]:
    bounds = {"order": auc, "amount": r2, "missing": missing_auc}
    return [leak for leak in figures if leak.low > bounds[leak.kind]]


def _of(name: str, column: pd.Series, label: str, outcome: np.ndarray) -> Iterator[Leak]:
    import numpy as np

    values = _ordered(column, outcome)
    positive, known = outcome > 0, ~np.isnan(values)
    if 0 < known.sum() < known.size and (value := _auc(~known, positive)) is not None:
        yield _leak(name, label, "missing", value, positive)
    if (value := _auc(values[known], positive[known])) is not None:
        yield _leak(name, label, "order", value, positive[known])
    if np.unique(outcome).size > 2 and (known & positive).sum() >= LEAST_ROWS:
        value = _r2(values[known], outcome[known])
        yield Leak(name, label, "amount", value, _r2_low(value, int((known & positive).sum())))


def _ordered(column: pd.Series, outcome: np.ndarray) -> np.ndarray:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    texts = column.astype(object).where(column.notna()).reset_index(drop=True)
    positive = pd.Series(outcome > 0, dtype=float)
    half = np.random.default_rng(0).random(len(texts)) < 0.5  # a row's own label must not speak for its value
    values = pd.Series(np.nan, index=texts.index)
    for part in (half, ~half):
        values[part] = texts[part].map(positive[~part].groupby(texts[~part]).mean())
    return values.where(values.notna() | texts.isna(), positive.mean()).to_numpy(dtype=float)


def _auc(values: np.ndarray, positive: np.ndarray) -> float | None:
    """The chance that a positive has the larger value, or the smaller one where that is likelier."""
    from scipy.stats import rankdata

    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        return None
    rank_sum = float(rankdata(values)[positive].sum())
    auc = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return max(auc, 1 - auc)


def _leak(name: str, label: str, kind: str, auc: float, positive: np.ndarray) -> Leak:
    rarer = min(int(positive.sum()), int((~positive).sum()))
    return Leak(name, label, kind, auc, wilson_low(auc, rarer))


def wilson_low(share: float, of: int) -> float:
    """The lower end of Wilson's (1927) interval for a share, one-sided at 95 %.

    >>> round(wilson_low(1.0, 3), 2), round(wilson_low(1.0, 300), 2)
    (0.53, 0.99)
    """
    spread = Z * (share * (1 - share) / of + Z**2 / (4 * of**2)) ** 0.5
    return float((share + Z**2 / (2 * of) - spread) / (1 + Z**2 / of))


def _r2(values: np.ndarray, outcome: np.ndarray) -> float:
    import numpy as np
    from scipy.stats import rankdata

    ranks = _correlation(rankdata(values), rankdata(outcome))
    # One user who always spent a hundred times the others' is no leak.
    clipped = [np.clip(series, *np.quantile(series, [0.01, 0.99])) for series in (values, outcome)]
    return max(ranks**2, _correlation(*clipped) ** 2)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    import numpy as np

    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm > 0 else 0.0


def _r2_low(r2: float, rows: int) -> float:
    import numpy as np

    low = np.tanh(np.arctanh(min(r2**0.5, 1 - 1e-9)) - Z / (rows - 3) ** 0.5)
    return float(max(low, 0.0) ** 2)
