"""Examples of several numbered moments: put together, taken apart, and some of their rows or moments by themselves.

Everything that is kept beside the rows goes with them: outcomes, aligned or with a ``per``; frames of each moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def together(examples: Sequence[Examples]) -> Examples:
    """Examples of several moments as one, numbered by their moments, the oldest 0."""
    import pandas as pd

    first = examples[0]
    outcomes = [one.outcomes for one in examples if one.outcomes is not None]
    # Outcomes with a ``per`` have rows of their own, which must say of which moment they are.
    is_aligned = all(one.outcomes is None or one.outcomes.index.equals(one.columns.index) for one in examples)
    numbered = outcomes if is_aligned else [rows.assign(moment=place) for place, rows in enumerate(outcomes)]
    return Examples(
        columns=pd.concat([one.columns.assign(moment=place) for place, one in enumerate(examples)]),
        outcomes=pd.concat(numbered) if outcomes else None,
        tables={name: tuple(frame for one in examples for frame in one.tables[name]) for name in first.tables},
        moments=tuple(moment for one in examples for moment in one.moments),
        zone=first.zone,
    )


def apart(examples: Examples) -> list[Examples]:
    """The examples of each moment by themselves, the oldest first."""
    if "moment" not in examples.columns.columns:
        return [examples]
    numbers = examples.columns["moment"].to_numpy()
    return [_of_number(examples, numbers == place, place) for place in range(len(examples.moments))]


def _of_number(examples: Examples, is_of: npt.NDArray[np.bool_], place: int) -> Examples:
    outcomes = examples.outcomes
    if outcomes is not None and "moment" in outcomes.columns:
        outcomes = outcomes[outcomes["moment"] == place].drop(columns="moment")
    elif outcomes is not None:
        outcomes = outcomes[is_of]
    return Examples(
        columns=examples.columns[is_of].drop(columns="moment"),
        outcomes=outcomes,
        tables={name: (frames[place],) for name, frames in examples.tables.items()},
        moments=(examples.moments[place],),
        zone=examples.zone,
    )


def of_moments(examples: Examples, places: Sequence[int]) -> Examples:
    """The examples of some moments, by their numbers, numbered anew: 0 is the first of ``places``.

    >>> import pandas as pd
    >>> from datetime import UTC, datetime
    >>> days = tuple(datetime(2024, 6, day, tzinfo=UTC) for day in (1, 2, 3))
    >>> seen = pd.DataFrame({"visits": [5, 6, 7], "moment": [0, 1, 2]}, index=["a", "a", "b"])
    >>> of_moments(Examples(seen, moments=days), (1, 2)).columns["moment"].tolist()
    [0, 1]
    """
    every = apart(examples)
    return together([every[place] for place in places])


def some_rows(examples: Examples, is_kept: npt.NDArray[np.bool_]) -> Examples:
    """The examples of those rows, with what came of them; the moments and their frames stay as they are."""
    columns, outcomes = examples.columns[is_kept], examples.outcomes
    if outcomes is not None and outcomes.index.equals(examples.columns.index):
        outcomes = outcomes[is_kept]
    elif outcomes is not None:
        outcomes = outcomes[_keys(outcomes).isin(_keys(columns))]
    return replace(examples, columns=columns, outcomes=outcomes)


def _keys(frame: pd.DataFrame) -> pd.Index:
    """What names an example: its key, and its moment where there are several."""
    if "moment" not in frame.columns:
        return frame.index
    return frame.set_index("moment", append=True).index
