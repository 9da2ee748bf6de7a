"""A chance from one column alone: the rule of thumb that a model of chances has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class SingleColumn:
    """The share with the outcome by the value of a column: it only ever grows with it, or only ever falls.

    ``word`` says in a few words what it goes by, for the reasons.
    """

    def __init__(self, params: Horizon, outcome: str, column: str, word: str, *, grows: bool) -> None:
        self.params = params
        self.outcome = outcome
        self.column = column
        self.word = word
        self.grows = grows
        self.corners: np.ndarray | None = None
        self.share: np.ndarray | None = None
        self.overall = 0.0

    def fit(self, examples: Examples) -> SingleColumn:
        """Isotonic regression of the outcome on the column.

        Raises:
            EvidenceError: no example has a value.
        """
        import numpy as np
        from sklearn.isotonic import IsotonicRegression

        from capflow_assets.learning.chances import positives
        from capflow_assets.learning.example_weights import example_weights

        observed = positives(examples, self.outcome).astype(float)
        values = self._values(examples)
        known = values == values
        if not known.any():
            raise EvidenceError(
                f"A rule by {self.column} cannot be fitted", expected=f"subjects with {self.column}", came="none"
            )
        weights = example_weights(examples.outcomes)
        curve = IsotonicRegression(increasing=self.grows, out_of_bounds="clip")
        curve.fit(values[known], observed[known], sample_weight=None if weights is None else weights[known])
        self.corners, self.share = curve.X_thresholds_, curve.y_thresholds_
        self.overall = float(np.average(observed, weights=weights))
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the share among subjects with such a value; everybody's where it is unknown."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted

        corners, share = (fitted(part, f"the rule by {self.column}") for part in (self.corners, self.share))
        values = self._values(examples)
        score = np.where(np.isnan(values), self.overall, np.interp(np.nan_to_num(values), corners, share))
        return pd.DataFrame({"score": score, "reasons": self.word}, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """The curve's corners."""
        if self.corners is None or self.share is None:
            return {}
        return {self.column: self.corners.tolist(), "share": self.share.tolist()}

    def _values(self, examples: Examples) -> np.ndarray:
        from capflow_assets.learning.frames import matrix

        return matrix(examples.columns, (self.column,))[self.column].to_numpy()
