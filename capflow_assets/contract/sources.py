"""What a kind of store is, and what a kind may be able to do besides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, SparkSession


class Source(Protocol):
    """One kind of store, opened as a Spark DataFrame: what every module of ``sources`` has.

    ``Options`` is a pydantic model of what a customer may say about such a store. What a kind may be able to do besides
    are the protocols below; a module that has one member of such a protocol has all of them.
    """

    Options: type[Any]

    def read(self, spark: SparkSession, location: str, options: Any) -> DataFrame:
        """One row per row of the store, with its own columns."""


@runtime_checkable
class ChecksLocations(Protocol):
    """A kind of store whose locations have a form of their own."""

    def check_location(self, location: str) -> None:
        """Refuse a location of another form, or one that holds credentials, with a ``SourceError``."""


@runtime_checkable
class ReadsNewerRows(Protocol):
    """A kind of store that finds its newer rows by itself; one that ``COMPARES_TEXT`` knows how texts are written."""

    COMPARES_TEXT: bool

    def read_newer(self, spark: SparkSession, location: str, options: Any, column: str, than: Any) -> DataFrame:
        """The rows whose ``column`` is ``than`` or more."""


@runtime_checkable
class ReadsAtAGlance(Protocol):
    """A kind of store of text, whose workers tell times and numbers beside it where these are plain."""

    def read_at_a_glance(
        self,
        spark: SparkSession,
        location: str,
        options: Any,
        kinds: Mapping[str, str],
        zone: str,
        texts: Collection[str],
    ) -> tuple[DataFrame, Mapping[str, str]]:
        """As ``read``, with the values that columns plainly tell; and which columns were looked at, as which type."""


@runtime_checkable
class HasFiles(Protocol):
    """A kind of store that reads files, each of which may be an export of its own."""

    def exports(self, location: str, options: Any, *, with_times: bool = False) -> Mapping[str, datetime | None]:
        """What people are shown for each file, and when it was last written, if asked."""

    def file_of(self, position: Expression, options: Any) -> Expression:
        """The file in the place of a row."""


@runtime_checkable
class LabelsRows(Protocol):
    """A kind of store of files whose rows bear no places where an engine reads them by itself."""

    def read_labelled(
        self, spark: SparkSession, location: str, options: Any, labels: Mapping[str, str]
    ) -> DataFrame | None:
        """As ``read``, with the label of each row's file; None where its place tells the file."""


@runtime_checkable
class FindsRows(Protocol):
    """A kind of store that finds rows again by their values, where they bear no places."""

    def find_rows(self, location: str, options: Any, rows: list[dict[str, str | None]]) -> list[int | None]:
        """The 1-based number of each row in the store; None where it is not found."""
