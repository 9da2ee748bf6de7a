"""A customer's own Delta table, in a folder or a bucket: its rows of now, of a version or of a moment.

The engine's own reader reads it, so that deletion vectors, partitions and statistics count as the writer meant them. A
table whose files lie outside of its folder (a shallow clone, say) is not read by the embedded engine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from capflow_assets.errors import SourceError, listed
from capflow_assets.landing.number_formats import NumberOptions
from capflow_assets.landing.time_formats import TimeFormat
from capflow_assets.sources.delta import log_files
from capflow_assets.sources.reading import arrow_frames

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Text in a table is compared letter by letter, however times and numbers in it are written.
COMPARES_TEXT = False
# What Sail and Spark say where there is no table, or not that version of it.
NO_TABLE = ("No commit files found", "DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND", "PATH_NOT_FOUND")
NO_VERSION = ("Missing commit file", "No version of the Delta table", "VERSION_NOT_FOUND", "TIMESTAMP_", "_TIMESTAMP")


class Options(NumberOptions):
    """Which state of such a table is read, and how text in it is written."""

    version: int | None = Field(None, ge=0, description="The version to read, in place of the newest.")
    timestamp: datetime | None = Field(
        None, description="The moment whose version is read, in place of the newest; UTC where it has no offset."
    )
    timestamp_format: TimeFormat | None = Field(None, description="How times in text columns are written.")
    date_format: TimeFormat | None = Field(None, description="How days in text columns are written, such as yyyyMMdd.")
    decimal_comma: bool = Field(False, description="Whether numbers in text columns are written 1.234,56.")

    @model_validator(mode="after")
    def _one_state(self) -> Options:
        if self.version is not None and self.timestamp is not None:
            raise ValueError("a version or a timestamp, not both")
        return self


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    """The rows of the Delta table at ``location``, its columns by name and with their types.

    Grain: one row per row of the table. A column that bears a reserved name gets its place behind it as a number.

    Raises:
        SourceError: there is no Delta table, not that version of it, or one that the engine cannot read.
    """
    from pyspark.errors import PySparkException

    place = log_files.judged(location)
    reader = spark.read.format("delta")
    if options.version is not None:
        reader = reader.option("versionAsOf", str(options.version))
    if options.timestamp is not None:
        moment = options.timestamp if options.timestamp.tzinfo else options.timestamp.replace(tzinfo=UTC)
        reader = reader.option("timestampAsOf", f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    try:
        frame = reader.load(place)
        columns = frame.columns
    except PySparkException as error:
        raise _refusal(str(error).strip().split("\n")[0][:300], location, options) from error
    names = arrow_frames.unique_names(columns)
    is_reserved = set(arrow_frames.RESERVED) & {name.lower() for name in columns}
    return frame.toDF(*names) if is_reserved else frame


def read_newer(spark: SparkSession, location: str, options: Options, column: str, than: Any) -> DataFrame:
    """The rows whose ``column`` is ``than`` or more; whole files that hold none are left out.

    Raises:
        SourceError: as ``read``, or there is no such column.
    """
    from pyspark.sql import functions as F

    frame = read(spark, location, options)
    if column not in frame.columns:
        expected = "one of " + listed(frame.columns)
        raise SourceError(f"The table has no column {column!r}", expected=expected, where=location)
    return frame.where(F.col("`" + column.replace("`", "``") + "`") >= F.lit(than))


def find_rows(location: str, options: Options, rows: list[dict[str, str | None]]) -> list[int | None]:
    """None for each row: those of a table have no place in it."""
    return [None] * len(rows)


def _refusal(received: str, location: str, options: Options) -> SourceError:
    if any(sign in received for sign in NO_VERSION):
        expected = f"version {options.version}" if options.version is not None else f"a version at {options.timestamp}"
        do = "name a version that is still kept: the table's history tells, and VACUUM takes old ones away"
        return SourceError(
            "The Delta table has no such version", expected=expected, came=received, where=location, do=do
        )
    if any(sign in received for sign in NO_TABLE):
        do = "check the location and the credentials; the folder is the one that holds _delta_log"
        if not location.isascii() or " " in location:
            do += "; the embedded engine reads no Delta table below a folder of blanks or letters beyond ASCII"
        return SourceError("There is no Delta table", came=received, where=location, do=do)
    do = "have it written with features that the engine knows, or export it to Parquet"
    return SourceError("The Delta table cannot be read", came=received, where=location, do=do)
