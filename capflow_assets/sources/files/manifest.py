"""A CSV file below a folder that links its files to items and users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv
from capflow_assets.sources.files.folders import LEAVES, real_path, root_of
from capflow_assets.sources.reading import arrow_frames
from capflow_assets.sources.reading.shapes import unique

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from capflow_assets.sources.files.options import Options


def manifest_at(location: str, options: Options) -> str | None:
    """The path of the manifest; None where the options name none.

    Raises:
        SourceError: it is not below the folder.
    """
    if options.manifest is None:
        return None
    root = root_of(location)
    path = f"{root.rstrip('/')}/{options.manifest}"
    if not real_path(path, root, location):
        expected = "a file below the folder, such as manifest.csv"
        received = f"{options.manifest}, which {LEAVES}"
        raise SourceError(
            "A manifest is not of this customer's folder", expected=expected, came=received, where=location
        )
    return path


def linked(spark: SparkSession, frame: DataFrame, manifest: str, options: Options) -> DataFrame:
    """The files beside the manifest's columns; its lines without a file with a complaint."""
    from pyspark.sql import functions as F

    lines = csv.read(spark, manifest, csv.Options.model_validate({}))
    if options.manifest_path not in lines.columns:
        columns = ", ".join(repr(name) for name in lines.columns if name not in arrow_frames.RESERVED) or "no column"
        raise SourceError(
            "A manifest lacks its column of paths",
            expected=f"a column {options.manifest_path!r} (options.manifest_path)",
            came=columns,
            where=manifest,
            do='say which column has the paths of the files: manifest_path = "…" under [tables.media.options]',
        )
    ids = [name for name in lines.columns if name not in (options.manifest_path, *arrow_frames.RESERVED)]
    named = unique(ids, (*frame.columns, "_named", "_unfit", "_line"))
    quoted = {name: F.col("`" + name.replace("`", "``") + "`") for name in (*ids, options.manifest_path)}
    plain = F.regexp_replace(F.trim(F.replace(quoted[options.manifest_path], F.lit("\\"), F.lit("/"))), "^[.]?/+", "")
    reserved = (F.col(arrow_frames.CORRUPT).alias("_unfit"), F.col(arrow_frames.POSITION).alias("_line"))
    lines = lines.select(plain.alias("_named"), *reserved, *(quoted[name].alias(named[name]) for name in ids))
    joined = frame.join(lines, F.col("relative_path") == F.col("_named"), "full_outer")
    absent = F.concat(F.lit("the manifest names a file that is not there: "), F.coalesce("_named", F.lit("no path")))
    lost = F.when(F.col("path").isNull(), absent)
    complaint = F.nullif(F.concat_ws("; ", F.col(arrow_frames.CORRUPT), lost, F.col("_unfit")), F.lit(""))
    position = F.coalesce(arrow_frames.POSITION, "_line")
    own = [name for name in frame.columns if name not in arrow_frames.RESERVED]
    return joined.select(
        *own, *named.values(), complaint.alias(arrow_frames.CORRUPT), position.alias(arrow_frames.POSITION)
    )
