"""Which rows of a source land at all: a customer's ``where``, a truth value over the source's columns.

A row that it leaves out is as if the source had not sent it: neither landed nor rejected, only counted. Where it is
null the row is left out, as in SQL. A row of which the source itself complains (too few values, say) cannot be asked;
it stays, and is rejected as ever. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError, shortened
from capflow_assets.landing import mappings
from capflow_assets.landing.rejections import POSITION, REASON, SOURCE_ROW
from capflow_assets.landing.values import NOTHING_SEEN, PLAIN_READING, Reading

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

KEY = "where"
MARK = "left out by where"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many rows a ``where`` left out; of how many of these it is null, if that was counted; and how many of them it
    holds for, but a later export has them as rows that it leaves out."""

    where: str = ""
    rows: int = 0
    unknown: int = 0
    replaced: int = 0

    def __str__(self) -> str:
        null = f" (it is null for {self.unknown:,} of them)" if self.unknown else ""
        later = f" ({self.replaced:,} of them since a later export has them so)" if self.replaced else ""
        return f"{self.rows:,} more were left out by where = {shortened(self.where)!r}{null}{later}"

    def nothing_left(self, table: str, location: str) -> SourceError:
        """The error for a source of which no row is left."""
        return SourceError(
            f"where leaves out every row of the source of {table}; the last good version stays",
            expected=f"at least one row for which {shortened(self.where)!r} is true",
            came=str(self).replace(" more were", " rows were"),
            where=location,
            do="mend where: texts compare letter by letter, capitals and blanks count",
        )


NOTHING = LeftOut()


def divided(
    frame: DataFrame,
    where: str,
    name: str = "",
    looked_at: Mapping[str, str] = NOTHING_SEEN,
    reading: Reading = PLAIN_READING,
) -> tuple[DataFrame, DataFrame, Expression]:
    """The rows of a source for which ``where`` holds, those that it leaves out, and whether it is null for a row.

    Raises:
        MappingError: it is no expression over one row, or gives something else than true or false.
    """
    from pyspark.sql import functions as F

    holds = mappings.condition(frame, where, KEY, name, looked_at, reading)
    unfit = F.col(mappings.CORRUPT).isNotNull() if mappings.CORRUPT in frame.columns else F.lit(False)
    stays = F.coalesce(holds, F.lit(False)) | unfit
    return frame.where(stays), frame.where(~stays), holds.isNull()


def counted(where: str, left: DataFrame, is_null: Expression) -> LeftOut:
    """How many rows were left out, for which the source is read once more."""
    from pyspark.sql import functions as F

    rows, unknown = left.agg(F.count(F.lit(1)), F.count_if(is_null)).collect()[0]
    return LeftOut(where, int(rows), int(unknown or 0))


def marked(conformed: DataFrame) -> DataFrame:
    """Conformed rows that are left out, marked so: among newer rows they take away what has landed under their key.

    Nothing else about them matters.
    """
    from pyspark.sql import functions as F

    nothing = {column: F.lit(None).cast("string") for column in (POSITION, SOURCE_ROW)}
    return conformed.withColumns({REASON: F.lit(MARK), **nothing})


def is_marked() -> Expression:
    """Whether a row of a conformed frame is left out; never null."""
    from pyspark.sql import functions as F

    return F.col(REASON).eqNullSafe(MARK)
