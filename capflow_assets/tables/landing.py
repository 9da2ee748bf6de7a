"""Land one raw table: read the customer's source once, judge it, and commit what was written if it is good.

The rows are conformed and written beside the table's own in one go; all that is asked of them afterwards is asked of
those columns. Bad rows are set aside; too many stop the table, whose last good version stays. Rows that lie there
already change nothing: no version, no file. With a ``watermark`` only newer rows are read (see ``increments``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.customers.customer import Customer, TableSource
from capflow_assets.errors import SourceError
from capflow_assets.expressions import ids
from capflow_assets.landing import (
    REASON,
    bill_keys,
    disguised,
    id_columns,
    kept_columns,
    merge_key,
    row_filter,
    watermarks,
)
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.personal import hashed_columns, pseudonym, pseudonymized
from capflow_assets.landing.values import Reading
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.landed import Landed, read_landed, save_landed, way_of, why_unknown
from capflow_assets.stores.table_damage import damaged_table
from capflow_assets.stores.written_files import WrittenFiles, written
from capflow_assets.tables import exports, quarantine
from capflow_assets.tables.forgotten import is_anybody_forgotten, rows_of_forgotten, without_forgotten
from capflow_assets.tables.judgements import Judge, Landing
from capflow_assets.tables.landing_commit import columns, merged, replaced
from capflow_assets.tables.opening import Opening
from capflow_assets.tables.query_rows import placed_by_key, query_rows, reading_options, with_unfit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What decides how rows are read, and was not always there: what a TOML does not say leaves the way as it was.
SINCE_THEN = {"where", "query", "inputs", "bill_key"}


@dataclass
class _Work:
    """One landing on its way."""

    lake: Lake
    customer: Customer
    spec: TableSpec
    source: ModuleType | None
    location: str
    options: Any
    key: Callable[[], bytes]
    is_full: bool = False
    before: Landed | None = None
    form: str = ""
    forgotten: int = 0
    left_out: row_filter.LeftOut = row_filter.NOTHING
    looked_at: Mapping[str, str] = field(default_factory=dict)
    overlap: Mapping[str, Any] | None = None
    sources: Mapping[str, ModuleType] = field(default_factory=dict)
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
        return self.customer.name

    @property
    def declared(self) -> TableSource:
        return self.customer.tables[self.spec.name]

    @property
    def hashed(self) -> tuple[str, ...]:
        declared = self.declared
        return hashed_columns(self.spec.table, declared.columns, declared.personal, declared.plain)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(name for name in id_columns(self.spec.table, self.declared.columns) if name not in self.hashed)

    @property
    def merge_on(self) -> tuple[str, ...]:
        declared = self.declared
        return merge_key(self.spec.table, declared.merge_on) if declared.watermark else ()

    @property
    def told_by(self) -> tuple[str, ...]:
        """The mapped columns that say which row one is, where no line of a file does."""
        ids = [name for name in self.declared.columns if name in self.spec.table.key or name.endswith("_id")]
        return tuple(name for name in ids if name not in self.hashed)

    @property
    def suspects(self) -> tuple[str, ...]:
        return disguised.suspects(self.spec.table, self.declared.columns, self.hashed)

    @property
    def since(self) -> watermarks.Watermark | None:
        return self.before.watermark if self.before else None


def land(
    lake: Lake,
    sources: Mapping[str, ModuleType],
    customer: Customer,
    spec: TableSpec,
    judge: Judge,
    *,
    full: bool = False,
    key: Callable[[], bytes] = bytes,
) -> Landing:
    """Bring a raw table up to what its source holds. ``full`` reads everything, with a watermark as well.

    Bad rows go to ``raw/{table}_rejected`` with their reason and place in the source. ``judge`` looks at the good ones
    and at what landing found; where it refuses them, nothing is committed and the landing has no version. Rows of
    forgotten users are left out. ``key`` gives the customer's key, which these and personal columns ask for.

    Raises:
        SourceError: the source cannot be opened, or holds no row.
        MappingError: a mapped column does not fit the source.
        TableError: too many rows were rejected; or newer rows were to be added to a damaged table.
    """
    declared = customer.tables[spec.name]
    source = None if declared.query else sources[declared.source]
    options: Any = source.Options(**declared.options) if source else None
    work = _Work(lake, customer, spec, source, customer.location(spec.name), options, key, full, sources=sources)
    broken = lake.damage(customer.name, spec.key)
    last = None if broken else read_landed(lake, customer.name, spec.name)
    why = _why_everything(work, last, full, broken)
    work.before = None if why else last
    with work.views, written(lake, _conformed(work), customer.name, spec.key) as files:
        return _judged(work, files, judge, last, why)


def _why_everything(work: _Work, last: Landed | None, full: bool, broken: str) -> str:
    """Why the whole source is read, though only newer rows were asked for; empty where they will do."""
    if broken and work.declared.watermark and not full:
        raise damaged_table(work.name, work.spec.key, work.lake.path(work.name, work.spec.key), broken)
    if broken:
        return f"everything, since the table was damaged: {broken}"
    if not work.declared.watermark:
        return "everything"
    if full:
        return "everything, as asked"
    if last is None:
        return f"everything, since {why_unknown(work.lake, work.name, work.spec.name)}"
    if last.way != work.way:
        return "everything, since the customer's TOML says how to read it in another way than before"
    return "" if last.watermark else "everything, since no row had a watermark"


def _conformed(work: _Work) -> DataFrame:
    """The rows that are to be looked at, in the table's columns, personal ones hashed."""
    from capflow_assets.landing import conform
    from capflow_assets.landing.mappings import mentioned

    declared, options = work.declared, work.options
    spark = work.lake.spark()
    if declared.query:
        came, work.unfit = query_rows(spark, work.sources, work.customer, work.spec.name, work.views)
        options = reading_options(work.sources, declared.inputs)
    else:
        assert work.source is not None  # noqa: S101  (only a query has none)
        opening = Opening(work.source, work.location, options, declared, work.spec.table, work.customer.time_zone)
        came, work.looked_at = opening.rows(spark, work.since, work.exports)
        came = exports.with_labels(came, work.source, options, work.exports)
    if declared.watermark in came.columns:
        work.form = came.schema[declared.watermark].dataType.typeName()
    name = f"[tables.{work.spec.name}] of {work.name}, {work.location}"
    reading = Reading(
        work.customer.time_zone,
        getattr(options, "timestamp_format", None),
        getattr(options, "date_format", None),
        numbers=NumberFormat.of(options),
    )
    to_conform = partial(
        conform,
        table=work.spec.table,
        mapping=declared.columns,
        zone=reading.zone,
        timestamp_format=reading.timestamp_format,
        date_format=reading.date_format,
        numbers=reading.numbers,
        name=name,
        export=exports.export(came, work.exports, options, work.customer.time_zone),
        also_read=[declared.where] if declared.where else [],
        personal=work.hashed,
        watermark=declared.watermark,
        looked_at=work.looked_at,
        not_a_user=work.customer.not_a_user,
        bill_key=declared.bill_key,
    )

    def newer(rows: DataFrame) -> DataFrame:
        return to_conform(rows).where(watermarks.is_new(work.since)) if work.since else to_conform(rows)

    if declared.where:
        came, left, is_null = row_filter.divided(came, declared.where, name, work.looked_at, reading)
        work.left_out = row_filter.NOTHING if work.since else row_filter.counted(declared.where, left, is_null)
    frame = with_unfit(newer(came), work.unfit)
    if declared.where and work.since:
        frame = frame.unionByName(row_filter.marked(newer(left)))
    elif declared.where and (parted := exports.replaced_by_nothing(frame, newer(left), work.spec, work.exports)):
        frame, replaced = parted
        if many := replaced.count():
            work.left_out = replace(work.left_out, rows=work.left_out.rows + many, replaced=many)
    if is_anybody_forgotten(work.lake, work.name):  # before anything of a forgotten user is written
        everybodys, frame = frame, without_forgotten(work.lake, work.name, frame, work.key())
        work.forgotten = rows_of_forgotten(work.lake, work.name, everybodys, work.key())
    if work.hashed:
        secret = mentioned(came.columns, [declared.columns[name] for name in work.hashed])
        parts = bill_keys.hashed(declared.bill_key, work.spec.table, declared.columns, work.hashed, secret)
        frame = pseudonymized(frame, (*work.hashed, *parts), secret, work.key())
    return ids.marked(placed_by_key(frame, work.told_by) if declared.query else frame, work.ids)


def _judged(work: _Work, files: WrittenFiles, judge: Judge, last: Landed | None, why: str) -> Landing:
    if files.frame is not None and (files.counted(ids.UNCOMPOSED) or (0, 0))[1]:
        frame = ids.composed(files.frame, work.ids).drop(ids.UNCOMPOSED)
        with written(work.lake, frame, work.name, work.spec.key) as composed:
            return _judged(work, composed, judge, last, why)
    found = _evidence(work, files)
    if not found["came"] and why and work.left_out.rows:
        raise work.left_out.nothing_left(work.spec.name, work.location)
    if not found["came"] and why:
        raise SourceError(
            f"The source of {work.spec.name} holds no row; the last good version stays",
            expected="at least one row",
            where=work.location,
            do="check that the export ran, or remove the table from the customer's TOML",
        )
    if files.frame is not None and found.get("keyed", 0) > found.get("keys", 0):
        kind = (watermarks.newest(found, work.form, work.since) or watermarks.NONE).kind
        with written(work.lake, watermarks.latest(files.frame, work.merge_on, kind), work.name, work.spec.key) as fewer:
            return _committed(work, fewer, _evidence(work, fewer), judge, last, why)
    work.overlap = exports.overlap(files.frame, work.spec, work.exports)
    return _committed(work, files, found, judge, last, why)


def _committed(
    work: _Work, files: WrittenFiles, found: Mapping[str, Any], judge: Judge, last: Landed | None, why: str
) -> Landing:
    came, bad = int(found["came"]), int(found["bad"])
    told = _set_aside(work, files, bad, why)
    guests, totals = quarantine.apart_of(files, bad)
    broken, apart = bad - guests - totals, quarantine.Apart(guests, totals, work.left_out, work.forgotten)
    quarantine.refuse_many(work.spec.key, came, broken, told, work.declared.max_rejected_pct, work.location)
    if bad and not broken and why and came == bad:
        raise quarantine.nobody_landed(work.spec.name, came, apart, work.location)
    counts = {"came": came, **({"rejected": broken} if broken else {}), **apart.counts}
    declared = work.declared
    how = why or f"rows since {work.since.value if work.since else ''}"
    found_so = (
        quarantine.finding(work.spec.key, came, broken, told, apart),
        kept_columns.finding(work.spec.table, declared.columns, work.hashed, declared.plain, found, files.sample),
        *exports.finding(work.exports, work.overlap),
    )
    good = None if files.frame is None or came == bad else files.frame.where(f"{REASON} is null")
    # The columns that landing alone knows are no business of the checks'.
    judgement = judge(good if good is None else good.select(*columns(work, good)), found_so)
    if judgement.refusal:
        return Landing(counts, judgement, None, how)
    version, landed = (replaced if why else merged)(work, files, found, last)
    if version is None:
        version, how = landed.version, f"{how}; nothing has changed"
    save_landed(work.lake, work.name, work.spec.name, landed)
    return Landing(counts, judgement, version, how)


def _evidence(work: _Work, files: WrittenFiles) -> dict[str, Any]:
    """All figures about the rows that came: what the files tell by themselves, and else one look at the rows."""
    from pyspark.sql import functions as F

    if files.frame is None:
        kept = {f"_kept_{place}_{kind}": 0 for place in range(len(work.suspects)) for kind in disguised.COUNTED}
        return {"came": 0, "bad": 0, **kept}
    counted = dict(zip(("came", "bad"), files.counted(REASON) or (), strict=False))
    good = F.col(REASON).isNull()
    sums = disguised.sums(work.suspects, good)
    if not counted:
        sums |= {"came": F.count(F.lit(1)), "bad": F.count(REASON)}
    if work.merge_on:
        keyed = watermarks.has_key(work.merge_on)
        hashed = F.xxhash64(*work.merge_on, *(F.col(name).isNull() for name in work.merge_on))
        sums |= {
            "keyed": F.count_if(keyed),
            "keys": F.countDistinct(F.when(keyed, hashed)),
            **watermarks.sums(good | row_filter.is_marked()),
        }
    if work.declared.where and work.since:
        sums["left_out"] = F.count_if(row_filter.is_marked())
    if not sums:
        return counted
    row = files.frame.agg(*(expression.alias(name) for name, expression in sums.items())).collect()[0]
    found = counted | dict(row.asDict())
    if left := int(found.get("left_out", 0)):
        work.left_out = row_filter.LeftOut(work.declared.where or "", left)
        found |= {name: int(found[name]) - left for name in ("came", "bad")}
    return found


def _set_aside(work: _Work, files: WrittenFiles, bad: int, why: str) -> str:
    """Keep the rejected rows, and tell some of them."""
    aside = f"{work.spec.key}_rejected"
    if files.frame is None or not (bad or work.lake.exists(work.name, aside)):
        return ""
    rejected = quarantine.rejected_rows(files.frame, work.merge_on)
    rejected = quarantine.placed(rejected, bad, work.source, work.location, work.options)
    keyed = quarantine.key_hash(work.merge_on).alias(quarantine.KEY) if not why else None
    batch = None if keyed is None else files.frame.where(watermarks.has_key(work.merge_on)).select(keyed)
    quarantine.set_aside(work.lake, work.name, aside, rejected, batch)
    return quarantine.shown(rejected) if bad else ""
