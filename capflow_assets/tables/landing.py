"""Land one raw table: read the customer's source once, judge it, and commit what was written if it is good.

The rows are conformed and written beside the table's own in one go; all that is asked of them afterwards is asked of
those columns. Bad rows are set aside; too many stop the table, whose last good version stays. A source without a row
stops what is sold, and what had rows before; a list that a customer does not fill yet lands without one. Rows that lie
there already change nothing: no version, no file. With a ``watermark`` only newer rows are read (see ``increments``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer
from capflow_assets.errors import SourceError
from capflow_assets.expressions import ids
from capflow_assets.landing import kept_columns, personal_values, row_filter, watermarks
from capflow_assets.landing.rejections import REASON
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.last_landing import Landed, read_landed, save_landed
from capflow_assets.stores.written_files import WrittenFiles, written
from capflow_assets.tables import exports, quarantine
from capflow_assets.tables.judgements import Judge, Landing
from capflow_assets.tables.landing_commit import columns, merged, replaced
from capflow_assets.tables.landing_work import LandingWork, extent_of
from capflow_assets.tables.source_rows import conformed

# Without these nothing is known of a customer.
NEVER_EMPTY = ("bills", "line_items")


def land(
    lake: Lake,
    sources: Mapping[str, Source],
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
        SourceError: the source cannot be opened, or holds no row where there has to be one.
        MappingError: a mapped column does not fit the source.
        TableError: too many rows were rejected; or newer rows were to be added to a damaged table.
    """
    declared = customer.tables[spec.name]
    source = None if declared.query else sources[declared.source]
    options: Any = source.Options(**declared.options) if source else None
    place = customer.location(spec.name)
    work = LandingWork(lake, customer, spec, source, place, options, key, is_full=full, sources=sources)
    broken = lake.damage(customer.name, spec.key)
    last = None if broken else read_landed(lake, customer.name, spec.name)
    work.extent = extent_of(work, last, broken)
    work.before = None if work.extent.is_everything else last
    with work.views, written(lake, conformed(work), customer.name, spec.key) as files:
        return _judged(work, files, judge, last)


def _judged(work: LandingWork, files: WrittenFiles, judge: Judge, last: Landed | None) -> Landing:
    if files.frame is not None and (files.counted(ids.UNCOMPOSED) or (0, 0))[1]:
        frame = ids.composed(files.frame, work.ids).drop(ids.UNCOMPOSED)
        with written(work.lake, frame, work.name, work.spec.key) as composed:
            return _judged(work, composed, judge, last)
    evidence = _evidence(work, files)
    is_everything = work.extent.is_everything
    if not evidence["came"] and is_everything and work.left_out.rows:
        raise work.left_out.nothing_left(work.spec.name, work.location)
    if not evidence["came"] and is_everything and not _may_be_empty(work):
        raise SourceError(
            f"The source of {work.spec.name} holds no row; the last good version stays",
            expected="at least one row",
            where=work.location,
            do="check that the export ran, or remove the table from the customer's TOML",
        )
    if files.frame is not None and evidence.get("keyed", 0) > evidence.get("keys", 0):
        kind = (watermarks.newest(evidence, work.form, work.since) or watermarks.NONE).kind
        with written(work.lake, watermarks.latest(files.frame, work.merge_on, kind), work.name, work.spec.key) as fewer:
            return _committed(work, fewer, _evidence(work, fewer), judge, last)
    work.overlap = exports.overlap(files.frame, work.spec, work.exports)
    return _committed(work, files, evidence, judge, last)


def _may_be_empty(work: LandingWork) -> bool:
    """Whether a table without rows is news of the customer, and not of an export that failed."""
    is_new = not work.lake.exists(work.name, work.spec.key) or not work.lake.rows(work.name, work.spec.key)
    return work.spec.name not in NEVER_EMPTY and is_new


def _committed(
    work: LandingWork, files: WrittenFiles, evidence: Mapping[str, Any], judge: Judge, last: Landed | None
) -> Landing:
    rows, bad = int(evidence["came"]), int(evidence["bad"])
    shown_rows = _set_aside(work, files, bad)
    guests, totals = quarantine.apart_of(files, bad)
    broken, apart = bad - guests - totals, quarantine.Apart(guests, totals, work.left_out, work.forgotten)
    quarantine.refuse_many(work.spec.key, rows, broken, shown_rows, work.declared.max_rejected_pct, work.location)
    if bad and not broken and work.extent.is_everything and rows == bad:
        raise quarantine.nobody_landed(work.spec.name, rows, apart, work.location)
    counts = {"came": rows, **({"rejected": broken} if broken else {}), **apart.counts}
    declared = work.declared
    how = work.extent.words
    is_empty = not rows and work.extent.is_everything
    findings = (
        quarantine.no_row_yet() if is_empty else quarantine.finding(work.spec.key, rows, broken, shown_rows, apart),
        kept_columns.finding(work.spec.table, declared.columns, work.hashed, declared.plain, evidence, files.sample),
        *exports.finding(work.exports, work.overlap),
    )
    good = None if files.frame is None or rows == bad else files.frame.where(f"{REASON} is null")
    # Checks see the table's columns, and not those that landing alone knows.
    judgement = judge(good if good is None else good.select(*columns(work, good)), findings)
    if judgement.refusal:
        return Landing(counts, judgement, None, how)
    version, landed = (replaced if work.extent.is_everything else merged)(work, files, evidence, last)
    if version is None:
        version, how = landed.version, f"{how}; nothing has changed"
    save_landed(work.lake, work.name, work.spec.name, landed)
    return Landing(counts, judgement, version, how)


def _evidence(work: LandingWork, files: WrittenFiles) -> dict[str, Any]:
    """All figures about the rows that came: what the files tell by themselves, and else one look at the rows."""
    from pyspark.sql import functions as F

    if files.frame is None:
        kept = {f"_kept_{place}_{kind}": 0 for place in range(len(work.suspects)) for kind in personal_values.COUNTED}
        return {"came": 0, "bad": 0, **kept}
    counted = dict(zip(("came", "bad"), files.counted(REASON) or (), strict=False))
    good = F.col(REASON).isNull()
    sums = personal_values.sums(work.suspects, good)
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
    evidence = counted | dict(row.asDict())
    if left := int(evidence.get("left_out", 0)):
        work.left_out = row_filter.LeftOut(work.declared.where or "", left)
        evidence |= {name: int(evidence[name]) - left for name in ("came", "bad")}
    return evidence


def _set_aside(work: LandingWork, files: WrittenFiles, bad: int) -> str:
    """Keep the rejected rows, and tell some of them."""
    aside = f"{work.spec.key}_rejected"
    if files.frame is None or not (bad or work.lake.exists(work.name, aside)):
        return ""
    rejected = quarantine.rejected_rows(files.frame, work.merge_on)
    rejected = quarantine.placed(rejected, bad, work.source, work.location, work.options)
    keyed = quarantine.key_hash(work.merge_on).alias(quarantine.KEY) if not work.extent.is_everything else None
    batch = None if keyed is None else files.frame.where(watermarks.has_key(work.merge_on)).select(keyed)
    quarantine.set_aside(work.lake, work.name, aside, rejected, batch)
    return quarantine.shown(rejected) if bad else ""
