"""Pictures, recordings, texts: files that are no tables, one row each, with what links them to an item or a user.

The table holds what is known of a file, never its bytes; ``open_bytes`` gives those where they are wanted. Workers
read each file once, in bounded memory, for its hash and to see what it really is. One that is empty, cut short,
misnamed or unreadable says so in ``_corrupt_record``, and the others go on. A link that leads out of the folder is
not followed: what lies there may be another customer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.sources.files import media
from capflow_assets.sources.files.folders import (
    CHECK_ACCESS,
    LEAVES,
    ListedFile,
    judged_files,
    path_below,
    real_path,
    root_of,
)
from capflow_assets.sources.files.manifest import linked, manifest_at
from capflow_assets.sources.files.options import COLUMNS, CONTENT, Options
from capflow_assets.sources.reading import arrow_frames, storage

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

FILES_PER_PART = 64
MOST_BYTES = 64 << 20
MOST_TEXT_BYTES = 1 << 20
# Patterns such as (a+)+$ take years over a path of fifty letters. One path takes microseconds of a sound one.
LINK_SECONDS = 10


def read(spark: SparkSession, location: str, options: Options) -> DataFrame:
    r"""The files of the folder, glob or ``s3://`` prefix at ``location``.

    Grain: one row per file; with a manifest, per file and line of it that names it, and one with a complaint for a line
    whose file is not there. Names that start with ``.`` or ``_`` are left out. Columns: ``path`` (for ``open_bytes``),
    ``relative_path`` (below the folder), ``name``, ``kind`` (image, audio, text, other: by content), ``media_type``,
    ``size_bytes``, ``sha256`` (hexadecimal), ``modified_at`` (UTC), one per named group of ``link`` and per further
    column of the manifest, as text, ``_corrupt_record`` and ``_position``. What the path does not tell is null. With
    ``contents`` also ``content``, what each text of at most 1 MiB says (UTF-8, or UTF-16 with its mark), so that a
    table such as ``raw/reviews`` can be made of a folder of texts.

    Raises:
        SourceError: nothing is there, it cannot be listed, or the manifest has no such column.
    """
    manifest = manifest_at(location, options)
    files = [file for file in judged_files(location) if file[0] != manifest]
    if not files:
        expected = "a file, a folder with files or a glob that matches some"
        raise SourceError("There are no files", expected=expected, where=location, do=CHECK_ACCESS)
    frame = _inspected(spark, files, root_of(location), options)
    frame = frame if manifest is None else linked(spark, frame, manifest, options)
    return frame.where(_is_kept(options)) if options.kinds else frame


def open_bytes(location: str, path: str, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of one file: of a ``path`` or ``relative_path`` that ``read`` gave for ``location``.

    Raises:
        SourceError: the file lies or leads outside of the location, is larger than ``most_bytes``, or cannot be read.
    """
    root = root_of(location)
    is_full = path.startswith(("/", "s3://"))
    full = path if is_full else f"{root.rstrip('/')}/{path}"
    real = real_path(full, root, location)
    if not real:
        raise SourceError("A file is not of this customer's folder", came=f"{path} {LEAVES}", where=location)
    try:
        with storage.open_file(real) as stream:
            if stream.size() > most_bytes:
                received, expected = f"{stream.size():,} bytes", f"at most {most_bytes:,} bytes"
                raise SourceError("A file is too large", expected=expected, came=received, where=full)
            return bytes(stream.read())
    except OSError as error:
        raise SourceError(
            "A file cannot be read", came=storage.first_line(error), where=full, do=CHECK_ACCESS
        ) from error


def _inspected(spark: SparkSession, files: list[ListedFile], root: str, options: Options) -> DataFrame:
    """A row for each file, made by the workers."""
    import regex

    groups = tuple(regex.compile(options.link).groupindex)
    _refuse_slow(options.link, [path_below(file[0], root) for file in files])
    names = (*COLUMNS, *((CONTENT,) if options.contents else ()), *groups, *arrow_frames.RESERVED)
    kinds = {"size_bytes": "bigint", "modified_at": "timestamp"}
    schema = ", ".join(f"`{name}` {kinds.get(name, 'string')}" for name in names)

    def run(incoming: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        types = {"size_bytes": pa.int64(), "modified_at": pa.timestamp("us", "UTC")}
        arrow = pa.schema([(name, types.get(name, pa.string())) for name in names])
        for batch in incoming:
            rows = [row_of(tuple(file.values()), root, options) for file in batch.to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema=arrow)

    parts = min(arrow_frames.MOST_PARTITIONS, -(-len(files) // FILES_PER_PART))
    frame = spark.createDataFrame(files, "path string, modified bigint, size bigint, real string")
    return frame.repartition(parts).mapInArrow(run, schema)


def _refuse_slow(link: str, paths: Sequence[str]) -> None:
    """Refuse a pattern that is not done with a path before the workers take it over all of them."""
    import regex

    search = regex.compile(link).search
    for path in paths if link else ():
        try:
            search(path, timeout=LINK_SECONDS)
        except TimeoutError:
            expected = f"a pattern that is done with a path in {LINK_SECONDS} seconds"
            do = "write options.link without repetitions within repetitions, such as (a+)+"
            raise SourceError("A pattern takes too long", expected=expected, came=link, where=path, do=do) from None


def row_of(file: ListedFile, root: str, options: Options) -> dict[str, Any]:
    """What is known of one file, or the complaint that it cannot be read."""
    import regex

    path, modified, size, real = file
    inner, name = path_below(path, root), PurePosixPath(path).name
    row: dict[str, Any] = {"path": path, "relative_path": inner, "name": name, arrow_frames.POSITION: inner}
    row["modified_at"] = datetime.fromtimestamp(modified // 1_000_000, UTC).replace(microsecond=modified % 1_000_000)
    linked = regex.search(options.link, inner) if options.link else None
    row |= linked.groupdict() if linked else {}
    complaint = "" if real else LEAVES
    if real:
        try:
            with storage.open_file(real) as stream:
                content = media.content_of(name, stream)
        except (OSError, SourceError) as error:
            complaint = f"cannot be read: {storage.first_line(error)}"
        else:
            row |= {key: getattr(content, key) for key in ("kind", "media_type", "size_bytes", "sha256")}
            if options.contents and content.kind == "text" and not content.complaint:
                return row | _said(real, content.size_bytes)
            return row | {arrow_frames.CORRUPT: content.complaint or None}
    promised = media.named_type(name)
    row |= {"kind": media.kind_of(promised), "media_type": promised, "size_bytes": size}
    return row | {arrow_frames.CORRUPT: complaint}


def _said(path: str, size: int) -> dict[str, str]:
    """What a text file says, or why that cannot be told."""
    if size > MOST_TEXT_BYTES:
        return {arrow_frames.CORRUPT: f"is a text of {size:,} bytes, more than {MOST_TEXT_BYTES:,}"}
    with storage.open_file(path) as stream:
        said = bytes(stream.read())
    encoding = "utf-16" if said.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return {CONTENT: said.decode(encoding)}
    except UnicodeDecodeError as error:
        return {arrow_frames.CORRUPT: f"is no text in {encoding.removesuffix('-sig').upper()}: {error.reason}"}


def _is_kept(options: Options) -> Any:
    from pyspark.sql import functions as F

    return F.col("kind").isin(*options.kinds) | F.col("kind").isNull()
