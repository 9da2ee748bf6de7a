"""The source of a raw table opened: as a whole, its newer rows alone, or with what its text plainly says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import ReadsAtAGlance, ReadsNewerRows, Source, Table
from capflow_assets.customers.customer import TableSource
from capflow_assets.landing import bill_keys, mappings, watermarks
from capflow_assets.landing.values import NOTHING_SEEN
from capflow_assets.tables import exports
from capflow_assets.tables.exports import Exports

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Opening:
    """A source that is to be opened: what kind, where, how, and what for."""

    source: Source
    location: str
    options: Any
    declared: TableSource
    table: Table
    zone: str

    def rows(
        self, spark: SparkSession, since: watermarks.Watermark | None, known: Exports
    ) -> tuple[DataFrame, Mapping[str, str]]:
        """The source's rows, and of which columns it tells values of a type as well.

        Those at or after the newest watermark alone where the store can tell them by itself.
        """
        source, column = self.source, self.declared.watermark
        # Text of times or numbers compares otherwise in a store, unless that knows how texts are written.
        if since and column and isinstance(source, ReadsNewerRows) and (source.COMPARES_TEXT or not since.is_text):
            return source.read_newer(spark, self.location, self.options, column, since.plain()), NOTHING_SEEN
        in_parts = exports.read_in_parts(spark, source, self.location, self.options, known)
        if in_parts is not None:
            return in_parts, NOTHING_SEEN
        if not isinstance(source, ReadsAtAGlance):
            return source.read(spark, self.location, self.options), NOTHING_SEEN
        kinds = mappings.plain_kinds(self.table, self.declared.columns)
        return source.read_at_a_glance(spark, self.location, self.options, kinds, self.zone, self._texts(known))

    def _texts(self, known: Exports) -> list[str]:
        """All that is asked of the source's columns; a part of a bill's key may be one of them, or ours."""
        declared = self.declared
        parts = [mappings.quoted(part) for part in declared.bill_key if bill_keys.column_of(part, self.table) is None]
        more = [declared.watermark, declared.where, known.column]
        return [*declared.columns.values(), *parts, *(text for text in more if text)]
