"""Land one raw table: read the customer's source once, judge it, and commit what was written if it is good.

The rows are conformed and written beside the table's own in one go; all that is asked of them afterwards is asked of
those columns. Bad rows are set aside; too many stop the table, whose last good version stays. Rows that lie there
already change nothing: no version, no file. With a ``watermark`` only newer rows are read (see ``increments``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding
from capflow_assets.customers import Customer, TableSource
from capflow_assets.errors import SourceError
from capflow_assets.graph import quarantine
from capflow_assets.graph.forgotten import is_anybody_forgotten, rows_of_forgotten, without_forgotten
from capflow_assets.graph.increments import merge
from capflow_assets.graph.lake import Lake
from capflow_assets.graph.landed import (
    Fingerprint,
    Landed,
    fingerprint,
    read_landed,
    save_landed,
    stored_fingerprint,
    way_of,
    why_unknown,
)
from capflow_assets.graph.stages import TableSpec
from capflow_assets.graph.table_damage import damaged_table
from capflow_assets.graph.written_files import WrittenFiles, written
from capflow_assets.landing import REASON, RESERVED, disguised, merge_key, number_formats, watermarks
from capflow_assets.landing.personal import hashed_columns, pseudonym, pseudonymized

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found about which table in rows that would land, and why they must not, if so."""

    findings: tuple[tuple[str, Finding], ...]
    refusal: str = ""


Judge = Callable[["DataFrame | None", tuple[Finding, ...]], Judgement]


@dataclass(frozen=True, slots=True)
class Landing:
    """What became of a raw table: its version (none if it was refused) and what came. ``how`` says what was read."""

    counts: Mapping[str, int]
    judgement: Judgement
    version: int | None
    how: str


@dataclass
class _Work:
    """One landing on its way."""

    lake: Lake
    customer: Customer
    spec: TableSpec
    source: ModuleType
    location: str
    options: Any
    key: Callable[[], bytes]
    is_full: bool = False
    before: Landed | None = None
    form: str = ""
    forgotten: int = 0
    looked_at: Mapping[str, str] = field(default_factory=dict)
    way: str = field(init=False)

    def __post_init__(self) -> None:
        self.way = way_of({
            "source": self.declared.source,
            "location": self.location,
            "zone": self.customer.time_zone,
            "hashed": self.hashed,
            "key": pseudonym("", self.key()) if self.hashed else "",
            "table": self.spec.table,
            **self.declared.model_dump(include={"options", "columns", "watermark", "merge_on"}),
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
    def merge_on(self) -> tuple[str, ...]:
        declared = self.declared
        return merge_key(self.spec.table, declared.merge_on) if declared.watermark else ()

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
    source = sources[declared.source]
    options: Any = source.Options(**declared.options)
    work = _Work(lake, customer, spec, source, customer.location(spec.name), options, key, full)
    broken = lake.damage(customer.name, spec.key)
    last = None if broken else read_landed(lake, customer.name, spec.name)
    why = _why_everything(work, last, full, broken)
    work.before = None if why else last
    frame = _conformed(work)
    with written(lake, frame, customer.name, spec.key) as files:
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
    came = _opened(work)
    if declared.watermark in came.columns:
        work.form = came.schema[declared.watermark].dataType.typeName()
    frame = conform(
        came,
        work.spec.table,
        declared.columns,
        zone=work.customer.time_zone,
        timestamp_format=getattr(options, "timestamp_format", None),
        date_format=getattr(options, "date_format", None),
        numbers=number_formats.NumberFormat.of(options),
        name=f"[tables.{work.spec.name}] of {work.name}, {work.location}",
        personal=work.hashed,
        watermark=declared.watermark,
        looked_at=work.looked_at,
    )
    if work.since:
        frame = frame.where(watermarks.is_new(work.since))
    if is_anybody_forgotten(work.lake, work.name):  # before anything of a forgotten user is written
        everybodys, frame = frame, without_forgotten(work.lake, work.name, frame, work.key())
        work.forgotten = rows_of_forgotten(work.lake, work.name, everybodys, work.key())
    if work.hashed:
        texts = [declared.columns[name] for name in work.hashed]
        frame = pseudonymized(frame, work.hashed, mentioned(came.columns, texts), work.key())
    return frame


def _opened(work: _Work) -> DataFrame:
    """The source's rows; those at or after the newest watermark alone where the store can tell them by itself."""
    spark, since = work.lake.spark(), work.since
    read_newer = getattr(work.source, "read_newer", None)
    # Text of times or numbers compares otherwise in a store, unless that knows how texts are written.
    can_tell = since and (not since.is_text or getattr(work.source, "COMPARES_TEXT", False))
    if since and read_newer and can_tell:
        newer: DataFrame = read_newer(spark, work.location, work.options, work.declared.watermark, since.plain())
        return newer
    read_at_a_glance = getattr(work.source, "read_at_a_glance", None)
    everything: DataFrame
    if read_at_a_glance:
        zone, texts = work.customer.time_zone, [*work.declared.columns.values(), work.declared.watermark or ""]
        everything, work.looked_at = read_at_a_glance(spark, work.location, work.options, _kinds(work), zone, texts)
    else:
        everything = work.source.read(spark, work.location, work.options)
    return everything


def _kinds(work: _Work) -> dict[str, str]:
    """The source's columns, if they are such, of which times or numbers are made as they are; each of one kind."""
    kinds = {column.name: column.type for column in work.spec.table.columns if column.type in ("timestamp", "double")}
    return {text: kinds[name] for name, text in work.declared.columns.items() if name in kinds}


def _judged(work: _Work, files: WrittenFiles, judge: Judge, last: Landed | None, why: str) -> Landing:
    found = _evidence(work, files)
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
    return _committed(work, files, found, judge, last, why)


def _committed(
    work: _Work, files: WrittenFiles, found: Mapping[str, Any], judge: Judge, last: Landed | None, why: str
) -> Landing:
    came, bad = int(found["came"]), int(found["bad"])
    told = _set_aside(work, files, bad, why)
    quarantine.refuse_many(work.spec.key, came, bad, told, work.declared.max_rejected_pct, work.location)
    counts = {"came": came, **{name: n for name, n in (("rejected", bad), ("forgotten", work.forgotten)) if n}}
    how = why or f"rows since {work.since.value if work.since else ''}"
    found_so = (
        quarantine.finding(work.spec.key, came, bad, told, work.forgotten),
        disguised.finding(work.spec.table, work.suspects, found, work.declared.plain),
    )
    good = None if files.frame is None or came == bad else files.frame.where(f"{REASON} is null")
    # The columns that landing alone knows are no business of the checks'.
    judgement = judge(good if good is None else good.select(*_columns(good)), found_so)
    if judgement.refusal:
        return Landing(counts, judgement, None, how)
    version, landed = (_replaced if why else _merged)(work, files, found, last)
    if version is None:
        version, how = landed.version, f"{how}; nothing has changed"
    save_landed(work.lake, work.name, work.spec.name, landed)
    return Landing(counts, judgement, version, how)


def _replaced(
    work: _Work, files: WrittenFiles, found: Mapping[str, Any], last: Landed | None
) -> tuple[int | None, Landed]:
    """Everything anew, unless it lies there already."""
    frame = files.frame
    assert frame is not None  # noqa: S101  (a source without a row was refused)
    columns = _columns(frame)
    watermark = watermarks.newest(found, work.form, None) if work.declared.watermark else None
    rows = Fingerprint(int(found["came"]) - int(found["bad"]))
    if last is not None and (last.fingerprint.rows, last.columns) == (rows.rows, str(columns)):
        rows = fingerprint(frame.where(f"{REASON} is null").select(*columns))
        is_known = last.fingerprint.hashes is not None and not work.is_full
        there = last.fingerprint if is_known else stored_fingerprint(work.lake, work.name, work.spec.key, columns)
        if there == rows:
            return None, replace(last, way=work.way, fingerprint=rows, watermark=watermark)
    if found["bad"]:
        with written(work.lake, frame.where(f"{REASON} is null").select(*columns), work.name, work.spec.key) as good:
            version = good.commit(columns, "overwrite")
    else:
        version = files.commit(columns, "overwrite")
    return version, Landed(*_identity(work), work.way, str(columns), rows, watermark)


def _merged(
    work: _Work, files: WrittenFiles, found: Mapping[str, Any], last: Landed | None
) -> tuple[int | None, Landed]:
    """The newer rows to those that have landed, unless they lie there already."""
    assert last is not None  # noqa: S101  (else everything would have been read)
    if files.frame is None:
        return None, last
    done = merge(work.lake, work.name, work.spec.key, files, _columns(files.frame), work.merge_on)
    watermark = watermarks.newest(found, work.form, last.watermark)
    if done.version is None:
        return None, replace(last, watermark=watermark)
    table_id, version = _identity(work)
    rows = last.fingerprint.plus(done.change)
    landed = replace(last, table_id=table_id, version=version, fingerprint=rows, watermark=watermark)
    return done.version, landed


def _identity(work: _Work) -> tuple[str, int]:
    identity = work.lake.identity(work.name, work.spec.key)
    assert identity is not None  # noqa: S101  (it was written a moment ago)
    return identity


def _columns(frame: DataFrame) -> dict[str, str]:
    return {name: kind for name, kind in frame.dtypes if name not in (*RESERVED, *watermarks.COLUMNS)}


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
        sums |= {"keyed": F.count_if(keyed), "keys": F.countDistinct(F.when(keyed, hashed)), **watermarks.sums(good)}
    if not sums:
        return counted
    row = files.frame.agg(*(expression.alias(name) for name, expression in sums.items())).collect()[0]
    return counted | dict(row.asDict())


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
