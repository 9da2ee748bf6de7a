"""A version whose file for online answers is not there, or says that it must be asked itself: by its own code.

It needs pandas and the estimator's libraries in the server. Where it can be converted after all, as versions of earlier
releases can, it is, once it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from capflow_assets.contract import Estimator
from capflow_assets.learning.online.conversion import CODE, by_code, columns_of, frame_of, online_scores
from capflow_assets.learning.online.scorers import Figures, Scorer, Scoring, ready_scorer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Figures", "Scorer", "Scoring", "code_scorer", "frame_of", "scorer_of"]
CODE_BYTES = 400_000


def scorer_of(estimator: Estimator, columns: Sequence[str], trial: np.ndarray, stored_bytes: int) -> Scorer:
    """The scorer of a fitted estimator; ``trial`` are rows of ``columns`` that it must agree with the estimator on."""
    online = online_scores(estimator, columns, trial)
    if online.recipe["kind"] == CODE:
        return code_scorer(estimator, columns, stored_bytes)
    return ready_scorer(online)


def code_scorer(estimator: Estimator, columns: Sequence[str], stored_bytes: int) -> Scorer:
    """The scorer that asks the estimator itself."""
    names = columns_of(estimator, columns)
    return Scorer(names, "code", by_code(estimator, names), CODE_BYTES + 3 * stored_bytes)
