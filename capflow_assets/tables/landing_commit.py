"""The last step of a landing: the written rows become the table, unless they lie there already.

Rows that lie there change nothing: no version, no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import EXPORT
from capflow_assets.expressions import ids
from capflow_assets.landing import watermarks
from capflow_assets.landing.rejections import REASON, RESERVED
from capflow_assets.stores.fingerprints import Fingerprint, fingerprint
from capflow_assets.stores.last_landing import Landed, stored_fingerprint
from capflow_assets.stores.written_files import WrittenFiles, written
from capflow_assets.tables.increments import merge
from capflow_assets.tables.landing_work import LandingWork

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def replaced(
    work: LandingWork, files: WrittenFiles, evidence: Mapping[str, Any], last: Landed | None
) -> tuple[int | None, Landed]:
    """Everything anew, unless it lies there already."""
    frame = files.stored
    kept = columns(work, frame)
    watermark = watermarks.newest(evidence, work.form, None) if work.declared.watermark else None
    rows = Fingerprint(int(evidence["came"]) - int(evidence["bad"]))
    if last is not None and (last.fingerprint.rows, last.columns) == (rows.rows, str(kept)):
        rows = fingerprint(frame.where(f"{REASON} is null").select(*kept))
        is_known = last.fingerprint.hashes is not None and not work.is_full
        stored = last.fingerprint if is_known else stored_fingerprint(work.lake, work.name, work.spec.key, kept)
        if stored == rows:
            return None, replace(last, way=work.way, fingerprint=rows, watermark=watermark)
    if evidence["bad"]:
        with written(work.lake, frame.where(f"{REASON} is null").select(*kept), work.name, work.spec.key) as good:
            version = good.commit(kept, "overwrite")
    else:
        version = files.commit(kept, "overwrite")
    return version, Landed(*_identity(work), work.way, str(kept), rows, watermark)


def merged(
    work: LandingWork, files: WrittenFiles, evidence: Mapping[str, Any], last: Landed | None
) -> tuple[int | None, Landed]:
    """The newer rows to those that have landed, unless they lie there already."""
    assert last is not None  # noqa: S101  (else everything would have been read)
    if files.frame is None:
        return None, last
    done = merge(work.lake, work.name, work.spec.key, files, columns(work, files.frame), work.merge_on)
    watermark = watermarks.newest(evidence, work.form, last.watermark)
    if done.version is None:
        return None, replace(last, watermark=watermark)
    table_id, version = _identity(work)
    rows = last.fingerprint.plus(done.change)
    landed = replace(last, table_id=table_id, version=version, fingerprint=rows, watermark=watermark)
    return done.version, landed


def _identity(work: LandingWork) -> tuple[str, int]:
    identity = work.lake.identity(work.name, work.spec.key)
    assert identity is not None  # noqa: S101  (it was written a moment ago)
    return identity


def columns(work: LandingWork, frame: DataFrame) -> dict[str, str]:
    """The columns of the table, with their types. Which export a row came with matters where these overlap."""
    left = (*RESERVED, ids.UNCOMPOSED, *watermarks.COLUMNS, *(() if work.overlap else (EXPORT,)))
    return {name: kind for name, kind in frame.dtypes if name not in left}
