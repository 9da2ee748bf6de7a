"""One landing on its way: what is declared of a raw table and its source, and how much of that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer, TableSource
from capflow_assets.landing import personal_values, row_filter, watermarks
from capflow_assets.landing.keys import id_columns, merge_key
from capflow_assets.landing.personal import hashed_columns, pseudonym
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.last_landing import Landed, way_of, why_unknown
from capflow_assets.stores.table_damage import damaged_table
from capflow_assets.tables import exports

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What decides how rows are read, and was not always there: what a TOML does not say leaves the way as it was.
SINCE_THEN = {"where", "query", "inputs", "bill_key"}


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of its source a landing reads: everything, or newer rows alone; ``words`` say which, and why."""

    is_everything: bool
    words: str


EVERYTHING = Extent(is_everything=True, words="everything")


@dataclass
class LandingWork:
    """One landing on its way: what is read, how, and what became known of it so far."""

    lake: Lake
    customer: Customer
    spec: TableSpec
    source: Source | None
    location: str
    options: Any
    key: Callable[[], bytes]
    is_full: bool = False
    before: Landed | None = None
    extent: Extent = EVERYTHING
    form: str = ""
    forgotten: int = 0
    left_out: row_filter.LeftOut = row_filter.NOTHING
    looked_at: Mapping[str, str] = field(default_factory=dict)
    overlap: Mapping[str, Any] | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    views: ExitStack = field(default_factory=ExitStack)
    unfit: DataFrame | None = None
    way: str = field(init=False)

    exports: exports.Exports = field(init=False)

    def __post_init__(self) -> None:
        self.exports = exports.exports_of(self.source, self.declared, self.spec, self.location, self.options)
        self.way = way_of({
            "source": self.declared.source,
            "location": self.location, "zone": self.customer.time_zone,
            "hashed": self.hashed,
            "key": pseudonym("", self.key()) if self.hashed else "",
            "table": self.spec.table,
            **self.declared.model_dump(include={"options", "columns", "watermark", "merge_on"}),
            **({"not_a_user": self.customer.not_a_user} if self.customer.not_a_user else {}),
            **{name: value for name, value in self.declared.model_dump(include=SINCE_THEN).items() if value},
        })  # fmt: skip

    @property
    def name(self) -> str:
        """The customer's name."""
        return self.customer.name

    @property
    def declared(self) -> TableSource:
        """What the customer's TOML says of the table."""
        return self.customer.tables[self.spec.name]

    @property
    def hashed(self) -> tuple[str, ...]:
        """The columns that land as pseudonyms."""
        declared = self.declared
        return hashed_columns(self.spec.table, declared.columns, declared.personal, declared.plain)

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns of ids that land as they are."""
        return tuple(name for name in id_columns(self.spec.table, self.declared.columns) if name not in self.hashed)

    @property
    def merge_on(self) -> tuple[str, ...]:
        """The columns by which newer rows take the place of older ones; none without a watermark."""
        declared = self.declared
        return merge_key(self.spec.table, declared.merge_on) if declared.watermark else ()

    @property
    def told_by(self) -> tuple[str, ...]:
        """The mapped columns that say which row one is, where no line of a file does."""
        ids = [name for name in self.declared.columns if name in self.spec.table.key or name.endswith("_id")]
        return tuple(name for name in ids if name not in self.hashed)

    @property
    def suspects(self) -> tuple[str, ...]:
        """The columns whose values are looked at for personal ones that nobody called so."""
        return personal_values.suspects(self.spec.table, self.declared.columns, self.hashed)

    @property
    def since(self) -> watermarks.Watermark | None:
        """The newest row of the last landing, where only newer ones are read."""
        return self.before.watermark if self.before else None


def extent_of(work: LandingWork, last: Landed | None, broken: str) -> Extent:
    """How much of the source is to be read after the last landing, of a table that may be broken.

    Raises:
        TableError: newer rows were to be added to a damaged table.
    """
    if broken and work.declared.watermark and not work.is_full:
        raise damaged_table(work.name, work.spec.key, work.lake.path(work.name, work.spec.key), broken)
    if broken:
        return _everything(f"since the table was damaged: {broken}")
    if not work.declared.watermark:
        return EVERYTHING
    if work.is_full:
        return _everything("as asked")
    if last is None:
        return _everything(f"since {why_unknown(work.lake, work.name, work.spec.name)}")
    if last.way != work.way:
        return _everything("since the customer's TOML says how to read it in another way than before")
    if last.watermark is None:
        return _everything("since no row had a watermark")
    return Extent(is_everything=False, words=f"rows since {last.watermark.value}")


def _everything(why: str) -> Extent:
    return Extent(is_everything=True, words=f"{EVERYTHING.words}, {why}")
