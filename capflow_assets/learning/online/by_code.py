"""An estimator that is asked itself, through a frame as in the night: where nothing else can answer for it online.

Belongs here: what a server needs for that. It imports neither what converts estimators nor their libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.contract import Estimator, Examples, ReadsColumns
from capflow_assets.learning.online.scorers import Figures, Scoring

if TYPE_CHECKING:
    import pandas as pd

CODE = "code"
# Words on what moved a score are given where they are asked for.
REASONS = "reasons"


def columns_of(estimator: Estimator, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that an estimator reads, of those that its model names."""
    return tuple(estimator.columns if isinstance(estimator, ReadsColumns) else columns)


def by_code(estimator: Estimator, columns: tuple[str, ...]) -> Scoring:
    """The estimator asked as in the night, through a frame: figures, and words such as the name of a segment."""

    def figures(rows: np.ndarray) -> Figures:
        from capflow_assets.learning.permutation import figures_of

        answers = figures_of(estimator, Examples(frame_of(rows, columns)))
        numbers = answers.select_dtypes("number")
        words = answers.select_dtypes(exclude="number").drop(columns=REASONS, errors="ignore")
        return {
            **{str(name): numbers[name].to_numpy(dtype=float, na_value=np.nan) for name in numbers.columns},
            **{str(name): _words(words[name]) for name in words.columns},
        }

    return figures


def _words(column: pd.Series[Any]) -> np.ndarray:
    """What is no number as an answer has it: texts, and days and moments by ISO 8601; None for what is not known."""
    values = [
        None if is_missing else value.isoformat() if isinstance(value, date) else value
        for value, is_missing in zip(column, column.isna(), strict=True)
    ]
    return np.array(values, dtype=object)


def frame_of(rows: np.ndarray, columns: tuple[str, ...]) -> pd.DataFrame:
    """Rows of features as estimators read them, indexed by a number for each."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns), index=pd.RangeIndex(len(rows), name="user_id"))
