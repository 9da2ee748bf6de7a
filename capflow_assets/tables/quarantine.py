"""Rows that could not land: ``raw/{table}_rejected``, each with the reason, its place and what it held.

Where everything is read, it holds what was rejected then. Where only newer rows are, a rejected row stays until a row
of the same key comes, whether that is good now or not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, FindsRows, Source
from capflow_assets.errors import CapflowError, TableError
from capflow_assets.landing.guests import GUEST
from capflow_assets.landing.rejections import POSITION, REASON, RESERVED, SOURCE_ROW
from capflow_assets.landing.row_filter import MARK, NOTHING, LeftOut
from capflow_assets.landing.suggestions import option_for
from capflow_assets.landing.totals import TOTAL
from capflow_assets.stores.fingerprints import Fingerprint, fingerprint
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.table_damage import damaged_table
from capflow_assets.stores.written_files import WrittenFiles, written

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEY = "row_key"
SHOWN_ROWS = 3
# Looking a row up in its source reads that from the start.
LOOKED_UP_ROWS = 20


@dataclass(frozen=True, slots=True)
class Apart:
    """Rows that did not land and are not broken: guests' (``landing.guests``), and such as sum others up (``totals``).

    They are kept beside the rejected rows; what a ``where`` left out, and what is of forgotten users, is not.
    """

    guests: int = 0
    totals: int = 0
    left_out: LeftOut = NOTHING
    forgotten: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what they are, those that there are alone."""
        rows = {"guests": self.guests, "totals": self.totals, "left_out": self.left_out.rows}
        return {name: number for name, number in {**rows, "forgotten": self.forgotten}.items() if number}

    def words(self, table: str) -> str:
        """The same in words, to stand behind how many were rejected."""
        aside = f"kept in {table}_rejected too"
        return "".join((
            f"; {self.guests:,} are guests, on which no user stands: {aside}" if self.guests else "",
            f"; {self.totals:,} sum others up, and are no bills: {aside}" if self.totals else "",
            f"; {self.left_out}" if self.left_out.rows else "",
            f"; {self.forgotten:,} more, of forgotten users, were left out: the source still sends them"
            if self.forgotten else "",
        ))  # fmt: skip


NONE_APART = Apart()


def finding(table: str, rows: int, broken: int, shown_rows: str, apart: Apart = NONE_APART) -> Finding:
    """How many rows came and were rejected as broken, with some of these in words; and what else did not land."""
    is_kept = bool(broken or apart.totals)
    kept = f"; they are kept in {table}_rejected: {shown_rows}" if is_kept else ""
    return Finding(
        check="landed",
        passed=not is_kept,
        message=f"{broken:,} of {rows:,} rows were rejected{apart.words(table)}{kept}",
        found={"came": rows, "rejected": broken, **apart.counts},
    )


def no_row_yet() -> Finding:
    """What is said of a table whose source has columns, and no row below them."""
    message = "no row has come yet: the source has its columns, and nothing below them"
    return Finding(check="landed", passed=False, message=message, found={"came": 0})


def rejected_rows(frame: DataFrame, key: Sequence[str] = ()) -> DataFrame:
    """The rejected rows of a conformed frame, with a hash of their ``key`` where that is given and can be read."""
    from pyspark.sql import functions as F

    rejected = frame.where(F.col(REASON) != MARK)  # never true of null
    return rejected.select(*RESERVED, *([key_hash(key).alias(KEY)] if key else []))


def key_hash(key: Sequence[str]) -> Any:
    """128 bits of a key, as text; null where a part of it is."""
    from functools import reduce
    from operator import and_

    from pyspark.sql import functions as F

    parts = [F.col(name) for name in key]
    halves = [F.lower(F.lpad(F.hex(F.xxhash64(F.lit(salt), *parts)), 16, "0")) for salt in ("a", "b")]
    return F.when(reduce(and_, (part.isNotNull() for part in parts)), F.concat(*halves))


def placed(rejected: DataFrame, bad: int, source: Source | None, location: str, options: Any) -> DataFrame:
    """The rejected rows with ``row N`` where their source gives no places, and there are few enough to look them up."""
    if not isinstance(source, FindsRows) or not 0 < bad <= LOOKED_UP_ROWS:
        return rejected
    if rejected.where(f"{POSITION} is not null").limit(1).count():
        return rejected
    rows = rejected.collect()
    try:
        numbers = source.find_rows(location, options, [json.loads(row[SOURCE_ROW]) for row in rows])
    except CapflowError:  # it was readable a moment ago: the reasons matter more than the places
        return rejected
    placed_rows = [
        tuple((row.asDict() | {POSITION: number and f"row {number}"}).values())
        for row, number in zip(rows, numbers, strict=True)
    ]
    return rejected.sparkSession.createDataFrame(placed_rows, rejected.schema)


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
    stored = lake.table(customer, aside) if lake.exists(customer, aside) and not broken else None
    if stored is not None and batch is not None and KEY in stored.columns:
        older = stored.join(batch.select(KEY).distinct(), KEY, "left_anti")
        older = older.join(rejected.select(SOURCE_ROW).distinct(), SOURCE_ROW, "left_anti")
        rejected = older.select(*rejected.columns).unionByName(rejected)
    with written(lake, rejected, customer, aside) as files:
        if stored is None and files.frame is None and not broken:
            return
        is_same = stored is not None and stored.dtypes == rejected.dtypes and _print(stored) == _print(files.frame)
        if not is_same:
            files.commit(dict(rejected.dtypes), "overwrite")


def apart_of(files: WrittenFiles, bad: int) -> tuple[int, int]:
    """How many of the ``bad`` rows that were set aside are guests', and how many sum others up."""
    from pyspark.sql import functions as F

    if not bad or files.frame is None:
        return 0, 0
    counts = (F.count_if(F.col(REASON) == why) for why in (GUEST, TOTAL))
    guests, totals = files.frame.agg(*counts).collect()[0]
    return int(guests), int(totals)


def shown(rejected: DataFrame) -> str:
    """Up to three rejected rows in words, each with its place, and the options that would read them; no guests."""
    rows = rejected.where(f"{REASON} <> '{GUEST}'").select(POSITION, REASON).limit(SHOWN_ROWS).collect()
    words = "; ".join(f"{place}: {reason}" if place else str(reason) for place, reason in rows)
    options = dict.fromkeys(option for _, reason in rows if (option := option_for(reason)))
    return f"{words} ({'; '.join(options)})" if options else words


def _print(frame: DataFrame | None) -> Fingerprint:
    return Fingerprint(0, 0) if frame is None else fingerprint(frame)


def nobody_landed(table: str, total: int, apart: Apart, location: str) -> TableError:
    """The refusal of rows of which none is broken and none can land: nearly always a wrong column."""
    of_what, column = ("has a user", "user_id") if apart.guests else ("is a bill", "bill_id")
    guests = "guests: user_id is empty, or one of not_a_user"
    kinds = [words for words, rows in ((guests, apart.guests), ("rows that sum others up", apart.totals)) if rows]
    look = "; look at not_a_user as well" if apart.guests else ""
    return TableError(
        f"None of {total:,} rows of {table} {of_what}; the last good version stays",
        expected=f"at least one row with a {column}",
        came=f"in all of them {' or '.join(kinds)}",
        where=location,
        do=f"see which column of the source has it, and map {column} to that{look}",
    )


def refuse_many(table: str, rows: int, bad: int, shown_rows: str, most: float, location: str) -> None:
    """Stop a landing of which more than ``most`` of a hundred rows were rejected.

    Raises:
        TableError: so many were.
    """
    share = 100 * bad / max(rows, 1)
    if share > most:
        name = table.partition("/")[2]
        raise TableError(
            f"{bad:,} of {rows:,} rows of {name} were rejected ({share:.1f} %); the last good version stays",
            expected=f"at most {most:g} % (max_rejected_pct)",
            came=shown_rows,
            where=location,
            do=f"mend the rows (they are kept in {table}_rejected), the mapping, or max_rejected_pct",
        )
