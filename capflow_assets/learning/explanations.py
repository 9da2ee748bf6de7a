"""Why a user got a score, in words that a marketer can check against the user's bills.

Contributions add up to the score's log-odds (SHAP values, Lundberg & Lee 2017); the largest few are worded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

# Below a hundredth of log-odds a feature changes a chance by less than 0.25 percentage points.
LEAST = 0.01
# A text with a place for the value, or what makes one of it.
Word = str | Callable[[float], str]
ONE = re.compile(r"(?<![\d.,])1 (day|visit|message)s\b")


def reasons(
    values: pd.DataFrame, contributions: np.ndarray, words: Mapping[str, Word], top: int = 3, least: float = LEAST
) -> list[str]:
    """One text per row: the ``top`` features that moved it most, each with its value and its direction.

    ``words`` gives a format per column, such as ``"last visit {:.0f} days ago"``, or a function of the value; a column
    without one is named.

    >>> seen = pd.DataFrame({"recency_days": [3.0, None], "visits": [9.0, 1.0]})
    >>> reasons(seen, np.array([[0.5, -0.2], [-0.9, 0.0]]), {"recency_days": "last visit {:.0f} days ago"})
    ['last visit 3 days ago raises it; visits 9 lowers it', 'recency days unknown lowers it']
    """
    if not len(values):
        return []
    first = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :top]
    parts = np.full(first.shape, "", dtype=object)
    cells = values.to_numpy(dtype=float)
    for column, name in enumerate(values.columns):
        rows, place = np.nonzero((first == column) & (np.abs(contributions[:, [column]]) >= least))
        parts[rows, place] = _sentences(name, words, cells[rows, column], contributions[rows, column])
    return [singular("; ".join(part for part in row if part)) or "close to the average user" for row in parts]


def singular(text: str) -> str:
    """A text whose ones count one.

    >>> singular("1 visits, the last 21 days ago; 1 days before that; 0.1 days")
    '1 visit, the last 21 days ago; 1 day before that; 0.1 days'
    """
    # Most texts have no one to count, and a look is quicker than a search for a pattern.
    return ONE.sub(r"1 \1", text) if any(one in text for one in ("1 day", "1 visit", "1 message")) else text


def _sentences(name: str, words: Mapping[str, Word], cells: np.ndarray, moved: np.ndarray) -> np.ndarray:
    plain = name.replace("_", " ")
    text = words.get(name, plain + " {:,.4g}")
    word = text.format if isinstance(text, str) else text
    # Many subjects share a value: days and visits are counted.
    values, places = np.unique(cells, return_inverse=True)
    worded = np.array([f"{plain} unknown" if np.isnan(value) else word(value) for value in values], dtype=object)
    sentences: np.ndarray = (
        worded[places] + np.array([" lowers it", " raises it"], dtype=object)[(moved > 0).astype(int)]
    )
    return sentences
