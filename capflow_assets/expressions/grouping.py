"""Grouping by moment, which costs nothing where there is one.

Sail takes several times as long to group by a column that is the same in every row as without it, and where there is
one moment, ``known_from``, ``as_of`` and ``today`` are such. So they are keys only where there are several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, at_moment

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


def sums_known(rows: DataFrame, as_of: Moments, keys: Iterable[str], sums: Iterable[Expression]) -> DataFrame:
    """The rows of ``known`` summed by the keys and by who knows them; still to be handed to the moments."""
    place = () if isinstance(as_of, datetime) else (KNOWN_FROM,)
    return rows.groupBy(*keys, *place).agg(*sums)


def sums_at_each(
    frame: DataFrame, as_of: Moments, zone: str, keys: Iterable[str], sums: Iterable[Expression]
) -> DataFrame:
    """The rows of ``at_each`` summed by moment and keys, with ``as_of`` and ``today``."""
    if isinstance(as_of, datetime):
        return at_moment(frame.groupBy(*keys).agg(*sums), as_of, zone)
    return frame.groupBy("as_of", "today", *keys).agg(*sums)


def totals_at_each(
    rows: DataFrame,
    as_of: Moments,
    zone: str,
    keys: Sequence[str],
    sums: Iterable[Expression],
    combined: Iterable[Expression],
) -> DataFrame:
    """The rows of ``known`` summed by the keys as each moment knows them, with ``as_of`` and ``today``.

    ``combined`` adds up the parts that ``sums`` makes of a group: the day on which an earlier moment falls, for one, is
    known to the later moments in two parts.
    """
    if isinstance(as_of, datetime):
        return sums_at_each(rows, as_of, zone, keys, sums)
    return sums_at_each(at_each(sums_known(rows, as_of, keys, sums), as_of, zone), as_of, zone, keys, combined)


def parts_at_each(
    rows: DataFrame, as_of: Moments, zone: str, keys: Sequence[str], sums: Sequence[str], largest: Sequence[str] = ()
) -> DataFrame:
    """The rows of ``known`` handed to each moment: keys, ``sums``, ``largest``, ``as_of`` and ``today``.

    Several moments get the sums of rows with the same keys; one moment gets the rows as they are, as they are about to
    be summed up anyway. What is made of them must be sums and largest values, over whatever rows.
    """
    from pyspark.sql import functions as F

    if isinstance(as_of, datetime):
        return at_each(rows.select(*keys, *sums, *largest), as_of, zone)
    parts = [F.sum(name).alias(name) for name in sums] + [F.max(name).alias(name) for name in largest]
    return at_each(sums_known(rows, as_of, keys, parts), as_of, zone)
