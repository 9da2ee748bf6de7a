"""What a customer keeps of its users besides their bills, as numbers: whatever columns there are.

Customers keep different attributes under different names, so none can be named in a model's file. Numbers and yes or no
stay what they are; a text of few values gives a column of 0 and 1 for each of them; ids, names, days and whatever else
has many values are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

MOST_VALUES = 20
# Nothing that is told of ever fewer users than this is learnt from.
LEAST_SHARE = 0.01
Traits = dict[str, list[str]]


def traits_of(frame: pd.DataFrame, without: tuple[str, ...]) -> Traits:
    """The columns that can be read, each with its values in order; no values for a column of numbers.

    >>> users = pd.DataFrame({"user_id": ["a", "b"], "age": ["60+", "18-29"], "household_size": [2, None]})
    >>> traits_of(users, without=("user_id",))
    {'age': ['18-29', '60+'], 'household_size': []}
    """
    values = {name: _values(frame[name]) for name in sorted(frame.columns) if name not in without}
    return {name: known for name, known in values.items() if known is not None}


def trait_matrix(frame: pd.DataFrame, traits: Traits) -> pd.DataFrame:
    """One column of float64 per number and per value of a text; NaN where the frame does not say.

    >>> users = pd.DataFrame({"age": ["60+", None, "90+"], "household_size": [2, None, 1]})
    >>> trait_matrix(users, {"age": ["18-29", "60+"], "household_size": []}).to_numpy().tolist()
    [[0.0, 1.0, 2.0], [nan, nan, nan], [0.0, 0.0, 1.0]]
    """
    columns = {}
    for name, values in traits.items():
        column = frame[name] if name in frame.columns else pd.Series(None, index=frame.index, dtype=object)
        if not values:
            columns[name] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        for value in values:
            columns[_name(name, value)] = np.where(column.notna(), column == value, np.nan).astype(float)
    return pd.DataFrame(columns, index=frame.index)


def trait_words(traits: Traits) -> Mapping[str, Callable[[float], str]]:
    """What a reason says of each column of the matrix.

    >>> words = trait_words({"age_band": ["60+"]})
    >>> words["age_band is 60+"](1.0), words["age_band is 60+"](0.0)
    ('age band 60+', 'age band other than 60+')
    """
    return {_name(name, value): _word(name, value) for name, values in traits.items() for value in values}


def _word(name: str, value: str) -> Callable[[float], str]:
    plain = name.replace("_", " ")
    return lambda cell: f"{plain} {value}" if cell > 0 else f"{plain} other than {value}"


def _name(name: str, value: str) -> str:
    # XGBoost refuses these characters in the name of a column.
    return f"{name} is {value}".translate(str.maketrans("[]<", "()_"))


def _values(column: pd.Series) -> list[str] | None:
    """The values of a text, none for numbers; None where the column cannot be read."""
    if column.notna().mean() < LEAST_SHARE:
        return None
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return []
    known = column.dropna()
    if not known.map(lambda cell: isinstance(cell, str)).all():
        return None
    values = sorted(known.unique())
    return values if 2 <= len(values) <= MOST_VALUES else None
