"""Tables that a model reads whole, as of several moments, their rows read once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.known_at import KNOWN_FROM, in_order, known

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame


def as_of_each(
    frame: DataFrame, time: str, columns: Sequence[str], moments: Sequence[datetime]
) -> tuple[pd.DataFrame, ...]:
    """The rows of a table that each of the moments knows, in the moments' order; those without a time always.

    The engine says of each row which is the first moment that knows it, by the rule that it cuts tables by, so that
    these are the rows that it would give for the moment alone; only the type of a column of whole numbers or of yes and
    no may be that of one with nulls, where a later row has one. The frames share their memory.
    """
    ordered = in_order(moments)
    names = [name for name in columns if name != KNOWN_FROM]
    rows = known(frame, time, ordered).select(*names, KNOWN_FROM).toPandas()
    # In the order in which rows become known, each moment has the first so many.
    rows = rows.sort_values(KNOWN_FROM, kind="stable", ignore_index=True)
    ends = rows.pop(KNOWN_FROM).searchsorted(range(len(ordered)), side="right")
    return tuple(rows.iloc[: ends[ordered.index(moment)]] for moment in moments)
