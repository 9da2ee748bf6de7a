"""Rows that could not land: ``raw/{table}_rejected``, each with the reason, its place and what it held.

Where everything is read, it holds what was rejected then. Where only newer rows are, a rejected row stays until a row
of the same key comes, whether that is good now or not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, Table
from capflow_assets.errors import CapflowError, TableError
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.landed import Fingerprint, fingerprint
from capflow_assets.graph.table_damage import damaged_table
from capflow_assets.graph.written_files import WrittenFiles, written
from capflow_assets.landing import POSITION, REASON, RESERVED, SOURCE_ROW
from capflow_assets.landing.guests import GUEST, may_hold
from capflow_assets.landing.suggestions import option_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEY = "row_key"
SHOWN_ROWS = 3
# Looking a row up in its source reads that from the start.
LOOKED_UP_ROWS = 20


def finding(table: str, came: int, bad: int, told: str, forgotten: int = 0, guests: int = 0) -> Finding:
    """How many rows came and were rejected, with some of these in words; and how many are guests' or forgotten users'.

    Guests (``landing.guests``) are none of the ``bad`` rows, and kept beside them.
    """
    kept = f"; they are kept in {table}_rejected: {told}" if bad else ""
    left = f"; {forgotten:,} more, of forgotten users, were left out: the source still sends them" if forgotten else ""
    of_guests = f"; {guests:,} are guests, on which no user stands: kept in {table}_rejected too" if guests else ""
    more = {"guests": guests, "forgotten": forgotten}
    return Finding(
        check="landed",
        passed=bad == 0,
        message=f"{bad:,} of {came:,} rows were rejected{kept}{of_guests}{left}",
        found={"came": came, "rejected": bad, **{name: n for name, n in more.items() if n}},
    )


def rejected_rows(frame: DataFrame, key: Sequence[str] = ()) -> DataFrame:
    """The rejected rows of a conformed frame, with a hash of their ``key`` where that is given and can be read."""
    from pyspark.sql import functions as F

    rejected = frame.where(F.col(REASON).isNotNull())
    return rejected.select(*RESERVED, *([key_hash(key).alias(KEY)] if key else []))


def key_hash(key: Sequence[str]) -> Any:
    """128 bits of a key, as text; null where a part of it is."""
    from functools import reduce
    from operator import and_

    from pyspark.sql import functions as F

    parts = [F.col(name) for name in key]
    halves = [F.lower(F.lpad(F.hex(F.xxhash64(F.lit(salt), *parts)), 16, "0")) for salt in ("a", "b")]
    return F.when(reduce(and_, (part.isNotNull() for part in parts)), F.concat(*halves))


def placed(rejected: DataFrame, bad: int, source: ModuleType, location: str, options: Any) -> DataFrame:
    """The rejected rows with ``row N`` where their source gives no places, and there are few enough to look them up."""
    find_rows = getattr(source, "find_rows", None)
    if find_rows is None or not 0 < bad <= LOOKED_UP_ROWS or rejected.where(f"{POSITION} is not null").limit(1).count():
        return rejected
    rows = rejected.collect()
    try:
        numbers = find_rows(location, options, [json.loads(row[SOURCE_ROW]) for row in rows])
    except CapflowError:  # it was readable a moment ago: the reasons matter more than the places
        return rejected
    told = [
        tuple((row.asDict() | {POSITION: number and f"row {number}"}).values())
        for row, number in zip(rows, numbers, strict=True)
    ]
    return rejected.sparkSession.createDataFrame(told, rejected.schema)


def set_aside(lake: Lake, customer: str, aside: str, rejected: DataFrame, batch: DataFrame | None = None) -> None:
    """Keep the rejected rows; nothing is written where they lie there already.

    With a ``batch`` of newer rows (their key as ``row_key``), those that were rejected before stay, but for rows that
    came again.

    Raises:
        TableError: the table is damaged, and rows that were rejected before are to stay in it.
    """
    broken = lake.damage(customer, aside)
    if broken and batch is not None:
        raise damaged_table(customer, aside, lake.path(customer, aside), broken)
    there = lake.table(customer, aside) if lake.exists(customer, aside) and not broken else None
    if there is not None and batch is not None and KEY in there.columns:
        older = there.join(batch.select(KEY).distinct(), KEY, "left_anti")
        older = older.join(rejected.select(SOURCE_ROW).distinct(), SOURCE_ROW, "left_anti")
        rejected = older.select(*rejected.columns).unionByName(rejected)
    with written(lake, rejected, customer, aside) as files:
        kept = files.frame
        if there is None and kept is None and not broken:
            return
        is_same = there is not None and there.dtypes == rejected.dtypes and _print(there) == _print(kept)
        if not is_same:
            files.commit(dict(rejected.dtypes), "overwrite")


def guests(files: WrittenFiles, table: Table, bad: int) -> int:
    """How many of the ``bad`` rows that were set aside are guests'."""
    if not bad or files.frame is None or not may_hold(table):
        return 0
    return int(files.frame.where(f"{REASON} = '{GUEST}'").count())


def shown(rejected: DataFrame) -> str:
    """Up to three rejected rows in words, each with its place, and the options that would read them; no guests."""
    rows = rejected.where(f"{REASON} <> '{GUEST}'").select(POSITION, REASON).limit(SHOWN_ROWS).collect()
    words = "; ".join(f"{place}: {reason}" if place else str(reason) for place, reason in rows)
    options = dict.fromkeys(option for _, reason in rows if (option := option_for(reason)))
    return f"{words} ({'; '.join(options)})" if options else words


def _print(frame: DataFrame | None) -> Fingerprint:
    return Fingerprint(0, 0) if frame is None else fingerprint(frame)


def no_user(table: str, came: int, location: str) -> TableError:
    """The refusal of a list of users on which nobody stands: nearly always a wrong column."""
    do = "see which column of the source has the users' ids, and map user_id to it; look at not_a_user as well"
    return TableError(
        f"None of {came:,} rows of {table} has a user; the last good version stays",
        expected="at least one row with a user_id",
        came="guests alone: user_id is empty, or one of not_a_user, in all of them",
        where=location,
        do=do,
    )


def refuse_many(table: str, came: int, bad: int, told: str, most: float, location: str) -> None:
    """Stop a landing of which more than ``most`` of a hundred rows were rejected.

    Raises:
        TableError: so many were.
    """
    share = 100 * bad / max(came, 1)
    if share > most:
        name = table.partition("/")[2]
        raise TableError(
            f"{bad:,} of {came:,} rows of {name} were rejected ({share:.1f} %); the last good version stays",
            expected=f"at most {most:g} % (max_rejected_pct)",
            came=told,
            where=location,
            do=f"mend the rows (they are kept in {table}_rejected), the mapping, or max_rejected_pct",
        )
