"""How much each example counts, where rare outcomes are all kept and the other examples are sampled.

An example that stands for ``w`` others has the weight ``w``: sums over the sample, weighted, are those over all. The
weights lie beside the outcomes, as the column ``WEIGHT``, wherever these go; where all examples are kept there are
none. Within one outcome all weights are the same, so that an AUC, which draws one example of each, needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

WEIGHT = "example_weight"


def example_weights(outcomes: pd.DataFrame | None) -> np.ndarray | None:
    """One weight per row of the outcomes; None where all rows count the same.

    >>> import pandas as pd
    >>> example_weights(pd.DataFrame({"bought": [1.0, 0.0], WEIGHT: [1.0, 20.0]}))
    array([ 1., 20.])
    """
    if outcomes is None or WEIGHT not in outcomes.columns:
        return None
    weights: np.ndarray = outcomes[WEIGHT].to_numpy(dtype=float)
    return weights


def without_weights(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The outcomes alone."""
    return outcomes.drop(columns=[name for name in (WEIGHT,) if name in outcomes.columns])


def drawn_alike(weights: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Which examples make a sample in which all count the same: each with the chance of its weight over the largest.

    ``draws`` are numbers from 0 to 1, one per example, that say nothing of its outcome.

    >>> import numpy as np
    >>> drawn_alike(np.array([1.0, 4.0, 1.0]), np.array([0.2, 0.9, 0.3])).tolist()
    [True, True, False]
    """
    is_drawn: np.ndarray = draws < weights / weights.max()
    return is_drawn


def mean_weights(weights: np.ndarray | None, is_positive: np.ndarray) -> tuple[float, float]:
    """What an example with the outcome counts, and one without it."""
    if weights is None:
        return 1.0, 1.0
    means = [float(weights[of].mean()) if of.any() else 1.0 for of in (is_positive, ~is_positive)]
    return means[0], means[1]
