"""How far features and scores have moved from those that a model was trained on: the population stability index.

``PSI = sum_b (now_b - then_b) ln(now_b / then_b)`` over bins (Siddiqi 2006, "Credit Risk Scorecards", chapter 8),
with his reading: below 0.10 no change, 0.10 to 0.25 some, above 0.25 a shift.

Chance alone moves it too. Without any drift PSI is about ``chi2(bins - 1) * (1/n + 1/m)`` (Yurdakul 2018): with ten
bins and twice a hundred rows it is above 0.25 one time in four, and of sixteen columns one nearly always is. So a
column counts as over only where chance is ruled out as well, for the number of rows, of columns and of nights:

- Rows: Pearson's chi-squared test that both samples have one distribution. Neighbouring bins are joined until five rows
  of the smaller sample are expected in each (Cochran 1954); PSI itself, a sum of logarithms, makes much of a bin that
  happens to be empty.
- Columns: Holm's correction (1979), which asks nothing of how the columns depend on each other.
- Nights: of five thousand scorings without drift at most one has any column over. A model is scored two hundred times
  in half a year, and from night to night its users hardly change, so that what chance did last night it does again.

From some 350 rows on the threshold is the larger of the two demands, and the correction changes nothing. That the same
users are in both samples makes chance smaller than the test allows for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from capflow_assets.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 10
EPSILON = 1e-4
THRESHOLD = 0.25
# How often any column of a scoring may be over by chance.
CHANCE = 0.0002
LEAST_EXPECTED = 5
MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class Bins:
    """One column then: inner ``edges``, the share of all rows in each bin between them, and of nulls."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    null_share: float


@dataclass(frozen=True, slots=True)
class Values:
    """One column of texts then: the share of all rows of each of its most frequent values, and of nulls."""

    shares: dict[str, float]
    null_share: float


@dataclass(frozen=True, slots=True)
class Reference:
    """What the columns of a frame looked like, small enough to keep beside a model: numbers, and texts apart."""

    rows: int
    columns: dict[str, Bins]
    categories: dict[str, Values] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text; ``from_json`` gives it back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """The reference that ``to_json`` wrote."""
        content = json.loads(text)
        columns = {
            name: Bins(tuple(bins["edges"]), tuple(bins["shares"]), bins["null_share"])
            for name, bins in content["columns"].items()
        }
        categories = {name: Values(**values) for name, values in content.get("categories", {}).items()}
        return cls(content["rows"], columns, categories)


def reference(features_and_scores: pd.DataFrame, bins: int = BINS) -> Reference:
    """Remember a frame, nulls apart: numbers and booleans in at most ``bins`` bins of equal mass, texts by value.

    Of texts the 50 most frequent values are remembered; all others are one.

    Raises ``ModelError`` on an empty frame.
    """
    if features_and_scores.empty:
        raise ModelError("There is nothing to compare with later", expected="at least one row", came="an empty frame")
    columns = {}
    for name in features_and_scores.select_dtypes(["number", "bool"]).columns:
        values = _numbers(features_and_scores, str(name))
        edges = _edges(values, bins)
        shares, null_share = _shares(values, edges)
        columns[str(name)] = Bins(tuple(float(edge) for edge in edges), tuple(shares.tolist()), null_share)
    texts = features_and_scores.select_dtypes(exclude=["number", "bool"])
    categories = {str(name): _values(texts[name]) for name in texts.columns}
    return Reference(len(features_and_scores), columns, categories)


def placed(then: Reference, name: str, frame: pd.DataFrame) -> tuple[np.ndarray, float, np.ndarray, float]:
    """A column's shares of all rows in the bins (or values) of the reference, and of nulls: then, and in the frame.

    A text's values that the reference does not name share a bin, the last.
    """
    import numpy as np

    if name in then.columns:
        bins = then.columns[name]
        shares, null_share = _shares(_numbers(frame, name), np.asarray(bins.edges))
        return np.asarray(bins.shares), bins.null_share, shares, null_share
    values = then.categories[name]
    texts = _texts(frame, name)
    now = texts.value_counts() / len(frame)
    named = now.reindex(list(values.shares), fill_value=0.0).to_numpy()
    then_named = np.asarray(list(values.shares.values()))
    rest_then = max(0.0, round(1 - values.null_share - float(then_named.sum()), 12))
    rest_now = max(0.0, round(float(now.sum()) - float(named.sum()), 12))
    return np.append(then_named, rest_then), values.null_share, np.append(named, rest_now), 1 - len(texts) / len(frame)


@dataclass(frozen=True, slots=True)
class Placed:
    """A frame's columns by the bins of a reference, for several measures of them: what ``placed`` gives of each."""

    rows: int
    columns: dict[str, tuple[np.ndarray, float, np.ndarray, float]]

    @classmethod
    def of(cls, then: Reference, frame: pd.DataFrame) -> Placed:
        """Each column of the reference, looked at once. Raises ``ModelError`` on an empty frame."""
        _require_rows(frame)
        return cls(len(frame), {name: placed(then, name, frame) for name in (*then.columns, *then.categories)})

    def __len__(self) -> int:
        return self.rows


def psi(
    then: Reference, frame: pd.DataFrame | Placed, threshold: float = THRESHOLD, epsilon: float = EPSILON
) -> pd.DataFrame:
    """Hold a frame against a reference.

    One row per column of the reference, largest PSI first: ``column``, ``psi``, ``bins`` (with a row, then or now),
    ``p_value`` (of no change, corrected for the number of columns), ``over`` (``psi`` above ``threshold``, ``p_value``
    below 0.0002), ``null_share_then``, ``null_share_now``, ``rows_then``, ``rows_now``. Nulls are a bin of their own;
    shares are floored at ``epsilon``; a column that did not come counts as all null.

    Raises ``ModelError`` on an empty frame.

    >>> import pandas as pd
    >>> then = reference(pd.DataFrame({"visits": [1, 2, 3, 4]}), bins=2)
    >>> round(psi(then, pd.DataFrame({"visits": [1, 3, 3, 4]}))["psi"].item(), 4)
    0.2747
    """
    import pandas as pd

    _require_rows(frame)
    rows = [_compare(name, bins, then, frame, epsilon) for name, bins in then.columns.items()]
    names = ["column", "psi", "bins", "p_value", "null_share_then", "null_share_now", "rows_then", "rows_now"]
    drift = pd.DataFrame(rows, columns=names)
    drift["p_value"] = _holm(drift["p_value"].to_numpy(dtype=float))
    drift.insert(4, "over", (drift["psi"] > threshold) & (drift["p_value"] < CHANCE))
    return drift.sort_values(["psi", "column"], ascending=[False, True], ignore_index=True)


def _require_rows(frame: pd.DataFrame | Placed) -> None:
    if not len(frame):
        raise ModelError("Drift cannot be measured", expected="at least one scored row", came="an empty frame")


def _compare(
    name: str, bins: Bins, then_all: Reference, frame: pd.DataFrame | Placed, epsilon: float
) -> tuple[str, float, int, float, float, float, int, int]:
    import numpy as np

    rows_then = then_all.rows
    _, _, shares, null_share = frame.columns[name] if isinstance(frame, Placed) else placed(then_all, name, frame)
    then = np.append(np.asarray(bins.shares), bins.null_share)
    now = np.append(shares, null_share)
    used = (then > 0) | (now > 0)
    floored_then, floored_now = np.maximum(then[used], epsilon), np.maximum(now[used], epsilon)
    value = float(np.sum((floored_now - floored_then) * np.log(floored_now / floored_then)))
    p_value = _p_value(then * rows_then, now * len(frame))
    return name, value, int(used.sum()), p_value, bins.null_share, null_share, rows_then, len(frame)


def _p_value(then: np.ndarray, now: np.ndarray) -> float:
    """How often chance alone makes the counts of two samples of one distribution differ as much: Pearson's test."""
    import numpy as np
    from scipy.stats import chi2

    counts = np.stack([then, now])
    expected = np.outer(counts.sum(axis=1) / counts.sum(), counts.sum(axis=0))
    starts = _starts(expected.min(axis=0))
    counts, expected = np.add.reduceat(counts, starts, axis=1), np.add.reduceat(expected, starts, axis=1)
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), starts.size - 1)) if starts.size > 1 else 1.0


def _starts(expected: np.ndarray) -> np.ndarray:
    """Where each bin begins, once neighbours are joined until ``LEAST_EXPECTED`` rows are expected in each."""
    import numpy as np

    starts, collected = [0], 0.0
    for place, rows in enumerate(expected):
        if collected >= LEAST_EXPECTED:
            starts.append(place)
            collected = 0.0
        collected += rows
    if collected < LEAST_EXPECTED and len(starts) > 1:
        starts.pop()
    return np.asarray(starts)


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's corrected p-values: below a level in any of them at most as often as that level says."""
    import numpy as np

    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(p_values.size, 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected


def _values(column: pd.Series) -> Values:
    counts = column.dropna().astype(str).value_counts() / len(column)
    shares = {str(value): float(share) for value, share in counts.head(MOST_VALUES).items()}
    return Values(shares, float(column.isna().mean()))


def _texts(frame: pd.DataFrame, name: str) -> pd.Series:
    import pandas as pd

    return frame[name].dropna().astype(str) if name in frame.columns else pd.Series([], dtype=str)


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    import numpy as np

    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    numbers: np.ndarray = frame[name].to_numpy(dtype=float, na_value=np.nan)
    return numbers


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    import numpy as np

    known = values[np.isfinite(values)]
    if not known.size:
        return np.empty(0)
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))
    # Where the smallest value fills the first bin (always so for a constant), whatever comes below it needs its own.
    if edges[0] == known.min():
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    return edges


def _shares(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, float]:
    import numpy as np

    known = values.size - int(np.count_nonzero(np.isnan(values)))
    # Of few edges it is quicker to count what lies above each than to look up every value; NaN lies above none.
    above = [known, *(int(np.count_nonzero(values > edge)) for edge in edges), 0]
    return -np.diff(above) / values.size, 1 - known / values.size
