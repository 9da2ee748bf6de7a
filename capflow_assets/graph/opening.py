"""The source of a raw table opened: as a whole, its newer rows alone, or with what its text plainly says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Table
from capflow_assets.customers import TableSource
from capflow_assets.landing import watermarks
from capflow_assets.landing.values import NOTHING_SEEN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Opening:
    """A source that is to be opened: what kind, where, how, and what for."""

    source: ModuleType
    location: str
    options: Any
    declared: TableSource
    table: Table
    zone: str

    def rows(self, spark: SparkSession, since: watermarks.Watermark | None) -> tuple[DataFrame, Mapping[str, str]]:
        """The source's rows, and of which columns it tells values of a type as well.

        Those at or after the newest watermark alone where the store can tell them by itself.
        """
        read_newer = getattr(self.source, "read_newer", None)
        # Text of times or numbers compares otherwise in a store, unless that knows how texts are written.
        can_tell = since and (not since.is_text or getattr(self.source, "COMPARES_TEXT", False))
        if since and read_newer and can_tell:
            return read_newer(spark, self.location, self.options, self.declared.watermark, since.plain()), NOTHING_SEEN
        read_at_a_glance = getattr(self.source, "read_at_a_glance", None)
        if not read_at_a_glance:
            return self.source.read(spark, self.location, self.options), NOTHING_SEEN
        declared = self.declared
        texts = [*declared.columns.values(), declared.watermark or "", declared.where or ""]
        opened: tuple[DataFrame, Mapping[str, str]]
        opened = read_at_a_glance(spark, self.location, self.options, self._kinds(), self.zone, texts)
        return opened

    def _kinds(self) -> dict[str, str]:
        """The columns, if they are such, of which times or numbers are made as they are; each of one kind."""
        kinds = {column.name: column.type for column in self.table.columns if column.type in ("timestamp", "double")}
        return {text: kinds[name] for name, text in self.declared.columns.items() if name in kinds}
