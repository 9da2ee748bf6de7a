"""Which rows of a source are newer than those that have landed, and which of a batch replace which.

A watermark is a source column that grows with every row that is added or changed: when it was written, or a number that
counts up. Typed columns compare as themselves. Text is read as times by the source's formats where all of it can be,
else as numbers where all of it can be, else it compares character by character; the first landing decides.

Rows at the newest watermark come again with the next landing: another one written in the same second is not missed. A
row without a watermark, or with one that cannot be read, is older than all that have one; it lands only when everything
is read. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import MappingError, listed, nearest, shortened
from capflow_assets.landing import mappings, values

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

Kind = Literal["time", "number", "text"]
KINDS: tuple[Kind, ...] = ("time", "number", "text")
COLUMNS = tuple(f"_watermark_{kind}" for kind in KINDS)
TYPES = {"time": "timestamp", "number": "decimal(38,9)", "text": "string"}


@dataclass(frozen=True, slots=True)
class Watermark:
    """The newest that has landed: how it compares, what it is, and the type (``string``, ``date``) in the source."""

    kind: Kind
    value: str
    form: str

    @property
    def is_text(self) -> bool:
        """Whether a store would compare it as text."""
        return self.form == "string"

    def plain(self) -> Any:
        """The value as Python has it: what a store may be asked for.

        >>> Watermark("time", "2024-05-02 10:00:00.5", "timestamp").plain()
        datetime.datetime(2024, 5, 2, 10, 0, 0, 500000, tzinfo=datetime.timezone.utc)
        >>> Watermark("number", "42.000000000", "bigint").plain()
        42
        """
        if self.kind == "time":
            moment = datetime.fromisoformat(self.value)
            if self.form == "date":
                return moment.date()
            return moment if self.form == "timestamp_ntz" else moment.replace(tzinfo=UTC)
        if self.kind == "text":
            return self.value
        number = Decimal(self.value)
        return int(number) if number == int(number) else number


# Of a batch in which no row has one.
NONE = Watermark("text", "", "string")


def column(kind: Kind) -> str:
    """The column of a conformed frame that holds the watermark as a ``kind``."""
    return f"_watermark_{kind}"


def readings(frame: DataFrame, watermark: str, reading: values.Reading, name: str = "") -> dict[str, Expression]:
    """The source's ``watermark`` as a time, a number and a text, by column; null where it is none of that.

    Raises:
        MappingError: the source has no such column.
    """
    from pyspark.sql import functions as F

    if watermark not in frame.columns:
        near = nearest(watermark, frame.columns)
        raise MappingError(
            "The watermark is no column of the source",
            expected=listed(repr(column) for column in frame.columns if column not in mappings.TOLD),
            came=repr(shortened(watermark)),
            where=name,
            do=f"did you mean {near!r}?" if near else "name one of them",
        )
    source, type = F.col(mappings.quoted(watermark)), frame.schema[watermark].dataType
    nothing = {kind: F.lit(None).cast(TYPES[kind]) for kind in KINDS}
    if type.typeName() in values.NUMERIC:
        typed = nothing | {"number": source.try_cast(TYPES["number"])}
    elif type.typeName() in ("timestamp", "timestamp_ntz", "date"):
        # Local times compare as the store has them.
        typed = nothing | {"time": source.cast("timestamp")}
    else:
        written = values.trimmed(values.text(source, type))
        typed = {
            "time": values.value(source, type, "timestamp", reading),
            "number": F.when(written.rlike(values.NUMBER), written.try_cast(TYPES["number"])),
            "text": F.when(written != "", written),
        }
    return {column(kind): typed[kind] for kind in KINDS}


def sums(is_good: Expression) -> dict[str, Expression]:
    """What ``newest`` wants to know of the good rows of a conformed frame, by name."""
    from pyspark.sql import functions as F

    good = {name: F.when(is_good, F.col(name)) for name in COLUMNS}
    counts = {f"{name}_count": F.count(value) for name, value in good.items()}
    return counts | {f"{name}_newest": F.max(value).cast("string") for name, value in good.items()}


def newest(summed: Mapping[str, Any], form: str, before: Watermark | None) -> Watermark | None:
    """The newest watermark of the rows that were summed up by ``sums``, or the one before if that is newer.

    ``form`` is the column's type in the source. What the text of a column is was decided ``before``, if anything has
    landed. None where no row has a watermark.
    """
    kind = before.kind if before else _kind(summed, form)
    value = summed[f"{column(kind)}_newest"]
    if value is None:
        return before
    after = Watermark(kind, str(value), form)
    return before if before and before.plain() > after.plain() else after


def _kind(summed: Mapping[str, Any], form: str) -> Kind:
    counts = {kind: int(summed[f"{column(kind)}_count"]) for kind in KINDS}
    if form != "string":
        return max(KINDS, key=counts.__getitem__)
    return next(kind for kind in KINDS if counts[kind] == counts["text"])


def is_new(since: Watermark) -> Expression:
    """Whether a row of a conformed frame is not older than ``since``."""
    from pyspark.sql import functions as F

    value = F.col(column(since.kind))
    return F.coalesce(value >= F.lit(since.value).cast(TYPES[since.kind]), F.lit(False))


def has_key(key: Sequence[str]) -> Expression:
    """Whether it can be told which row a row of a conformed frame replaces: a rejected one may lack its key."""
    from pyspark.sql import functions as F

    from capflow_assets.landing.rejections import REASON

    return reduce(and_, (F.col(name).isNotNull() for name in key)) | F.col(REASON).isNull()


def latest(frame: DataFrame, key: Sequence[str], kind: Kind) -> DataFrame:
    """Of the rows of each ``key`` only the newest, good or rejected, and all of them where several are.

    A rejected row whose key cannot be read stays.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    value = F.col(column(kind))
    is_keyed = has_key(key)
    ranked = frame.withColumn("_newest", F.max(value).over(Window.partitionBy(*key, is_keyed)))
    return ranked.where(~is_keyed | value.eqNullSafe(F.col("_newest"))).drop("_newest")
