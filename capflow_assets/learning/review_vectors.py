"""The vectors of reviews as a model reads them: those of one encoder only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples
from capflow_assets.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

VECTORS = "features/reviews"
VECTOR_COLUMNS = ("review_id", "embedding", "encoder")
# Vectors of it are comparable within one run only.
OF_ONE_RUN = "tfidf/"


def known_vectors(examples: Examples) -> pd.DataFrame:
    """The vectors that the newest moment knows, in the order of the reviews' ids."""
    return examples.table(VECTORS).sort_values("review_id", kind="stable")


def encoder_of(examples: Examples) -> str:
    """What made the vectors; nothing where there are none."""
    encoders = known_vectors(examples)["encoder"]
    return str(encoders.iloc[0]) if len(encoders) else ""


def matrix_of(vectors: pd.DataFrame, ids: Any, encoder: str, size: int | None = None) -> np.ndarray:
    """The vectors of the reviews ``ids``, (ids, ``size``), zeros for those without one.

    Without a ``size`` it is that of the vectors, of which there is one at least.

    Raises:
        ModelError: the vectors are not of the ``encoder``.
    """
    import numpy as np

    if len(vectors) and set(vectors["encoder"]) != {encoder}:
        raise ModelError(
            "The vectors of reviews are not those that a model learned from",
            expected=encoder,
            came=", ".join(sorted(set(vectors["encoder"]))),
            do="train review_sentiment again",
        )
    known = dict(zip(vectors["review_id"], vectors["embedding"], strict=True))
    size = len(next(iter(known.values()))) if size is None else size
    return np.array([known.get(review, np.zeros(size)) for review in ids], dtype=float).reshape(len(ids), size)
