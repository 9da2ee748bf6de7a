"""Segments by recency, frequency and money: fifths of each, and a grid of them with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples, Params
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.objectives.segment import NEVER_DAYS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

GRID = (
    ("Lost", "Hibernating", "About to sleep", "Promising", "New"),
    ("Hibernating", "Hibernating", "About to sleep", "Potential loyalists", "Potential loyalists"),
    ("At risk", "At risk", "Needs attention", "Potential loyalists", "Potential loyalists"),
    ("At risk", "At risk", "Loyal", "Loyal", "Champions"),
    ("Can't lose them", "Can't lose them", "Loyal", "Loyal", "Champions"),
)
# From worst to best where no spend says otherwise.
SEGMENTS = (
    "Lost",
    "Hibernating",
    "About to sleep",
    "At risk",
    "Can't lose them",
    "Promising",
    "New",
    "Needs attention",
    "Potential loyalists",
    "Loyal",
    "Champions",
)
FIFTHS = ("", "lowest fifth", "second fifth", "middle fifth", "fourth fifth", "best fifth")
RANKED = {"recency_quintile": "recency_days", "frequency_quintile": "visits", "monetary_quintile": "spend_total"}
COLUMNS = ("recency_days", "visits", "spend_total", "spend_91d")


class RfmSegments:
    """The fitted edges of the fifths, and the order of the segments by what their users spend of late."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.edges: dict[str, list[float]] | None = None
        self.place: dict[str, int] = {}
        self.recent_spend: dict[str, float] = {}

    def fit(self, examples: Examples) -> RfmSegments:
        """Cut the fifths at the users of ``examples`` and order the segments by the mean of ``spend_91d``."""

        from capflow_assets.learning.frames import matrix

        state = matrix(examples.columns, COLUMNS)
        if state["recency_days"].notna().sum() == 0:
            raise EvidenceError(
                "Segments cannot be cut", expected="users with a visit", came=f"{len(state)} rows, none"
            )
        self.edges = {column: _edges(_goodness(state, column)) for column in RANKED.values()}
        segments = self._segments(self._fifths(state, self.edges))
        recent = state["spend_91d"].fillna(0.0).groupby(segments).mean()
        self.recent_spend = {str(name): float(value) for name, value in recent.items()}
        self.place = _order(self.recent_spend)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``segment``, ``score`` and the three fifths.

        The score's whole part is the segment's place (1 worst to 11 best), its fraction the user's standing inside.
        """
        from capflow_assets.learning.frames import fitted, matrix

        state = matrix(examples.columns, COLUMNS)
        fifths = self._fifths(state, fitted(self.edges, "rfm_segments"))
        segments = self._segments(fifths)
        standing = (fifths.sum(axis=1) - 3) / 13
        return fifths.assign(
            segment=segments,
            score=segments.map(self.place).astype(float) + standing,
            reasons=_reasons(state, fifths),
        )[["score", "segment", *RANKED, "reasons"]]

    def parameters(self) -> dict[str, Any]:
        """The edges of the fifths, the segments' order, and the spend of the last 91 days that it rests on."""
        return {"edges": self.edges, "place": self.place, "spend_91d_avg": self.recent_spend}

    def _fifths(self, state: pd.DataFrame, edges: dict[str, list[float]]) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        scores = {
            name: 1 + np.searchsorted(edges[column], _goodness(state, column), side="left")
            for name, column in RANKED.items()
        }
        return pd.DataFrame(scores, index=state.index).astype("int32")

    def _segments(self, fifths: pd.DataFrame) -> pd.Series:
        import numpy as np
        import pandas as pd

        money = (fifths["frequency_quintile"] + fifths["monetary_quintile"] + 1) // 2
        names = np.array(GRID, dtype=object)[money.to_numpy() - 1, fifths["recency_quintile"].to_numpy() - 1]
        return pd.Series(names, index=fifths.index, dtype=object)


def _order(recent_spend: dict[str, float]) -> dict[str, int]:
    """Places 1 to 11 by recent spend; a segment nobody was in stands between its neighbours of ``SEGMENTS``."""
    import numpy as np

    seen = [place for place, name in enumerate(SEGMENTS) if name in recent_spend]
    value = np.interp(range(len(SEGMENTS)), seen, [recent_spend[SEGMENTS[place]] for place in seen])
    ordered = np.argsort(value, kind="stable")
    return {SEGMENTS[index]: place for place, index in enumerate(ordered, start=1)}


def _goodness(state: pd.DataFrame, column: str) -> np.ndarray:
    """A column turned so that more is better, nulls last."""
    values = state[column].fillna(NEVER_DAYS if column == "recency_days" else 0.0).to_numpy()
    return -values if column == "recency_days" else values


def _edges(values: np.ndarray) -> list[float]:
    """The largest value of each of the four lower fifths.

    As in features/rfm, equal users share the fifth of their middle: of n users, with b worse and e equal ones, it is
    ``floor(5 (b + e/2) / n) + 1``. Below an empty lowest fifth the edge is one under the least value.
    """
    import numpy as np

    distinct, count = np.unique(values, return_counts=True)
    fifth = np.floor(5 * (np.cumsum(count) - count / 2) / values.size) + 1
    return [float(distinct[fifth <= number].max(initial=distinct[0] - 1)) for number in (1, 2, 3, 4)]


def _reasons(state: pd.DataFrame, fifths: pd.DataFrame) -> list[str]:
    from capflow_assets.learning.explanations import singular

    columns = [state[name].fillna(0.0).to_numpy() for name in RANKED.values()]
    ranks = [fifths[name].to_numpy() for name in RANKED]
    return [
        singular(
            f"last visit {days:.0f} days ago ({FIFTHS[r]}); {visits:.0f} visits ({FIFTHS[f]}); "
            f"{spend:,.2f} spent ({FIFTHS[m]})"
        )
        for days, visits, spend, r, f, m in zip(*columns, *ranks, strict=True)
    ]
