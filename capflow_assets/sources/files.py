"""Pictures, recordings, texts: files that are no tables, one row each, with what links them to an item or a user.

The table holds what is known of a file, never its bytes; ``open_bytes`` gives those where they are wanted. Workers
read each file once, in bounded memory, for its hash and to see what it really is. One that is empty, cut short,
misnamed or unreadable says so in ``_corrupt_record``, and the others go on. A link that leads out of the folder is
not followed: what lies there may be another customer's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from capflow_assets.errors import SourceError
from capflow_assets.sources import _files, _media, csv
from capflow_assets.sources._shapes import unique

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as fs
    from pyspark.sql import DataFrame, SparkSession

FILES_PER_PART = 64
MOST_BYTES = 64 << 20
MOST_TEXT_BYTES = 1 << 20
COLUMNS = ("path", "relative_path", "name", "kind", "media_type", "size_bytes", "sha256", "modified_at")
CONTENT = "content"
OWN = (*COLUMNS, CONTENT, *_files.RESERVED)
# Patterns such as (a+)+$ take years over a path of fifty letters. One path takes microseconds of a sound one.
LINK_SECONDS = 10
LEAVES = "is or goes through a link that leaves the folder"
_DO = "check the location in the customer's TOML, and that it may be read"
# The path, when it was last written in microseconds since 1970, its size, its real path (blank: not to be opened).
Found = tuple[str, int, int, str]


def _with_groups(pattern: str) -> str:
    import regex

    try:
        groups = regex.compile(pattern).groupindex
    except regex.error as error:
        raise ValueError(f"a regular expression; {error}") from None
    taken = sorted(set(groups) & set(OWN))
    if pattern and (not groups or taken):
        also = f", none named {', '.join(taken)}" if taken else ""
        raise ValueError(rf"named groups, such as (?P<item_id>[^/]+)\.png${also}")
    return pattern


class Options(BaseModel):
    """What links the files to items and users."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: Annotated[str, AfterValidator(_with_groups)] = Field(
        "", description=r"A regular expression found in the path below the folder: (?P<item_id>[^/]+)\.png$"
    )
    manifest: str | None = Field(None, description="A CSV file below the folder that names files and ids.")
    manifest_path: str = Field("path", description="The manifest's column with the path below the folder.")
    kinds: tuple[_media.Kind, ...] = Field((), description="The kinds of files to keep; all where none is named.")
    contents: bool = Field(False, description="Whether what texts say comes with them, as the column content.")


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
    manifest = _manifest_at(location, options)
    found = [each for each in _judged(location) if each[0] != manifest]
    if not found:
        expected = "a file, a folder with files or a glob that matches some"
        raise SourceError("There are no files", expected=expected, where=location, do=_DO)
    frame = _inspected(spark, found, _root(location), options)
    frame = frame if manifest is None else _linked(spark, frame, manifest, options)
    return frame.where(_is_kept(options)) if options.kinds else frame


def open_bytes(location: str, path: str, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of one file: of a ``path`` or ``relative_path`` that ``read`` gave for ``location``.

    Raises:
        SourceError: the file lies or leads outside of the location, is larger than ``most_bytes``, or cannot be read.
    """
    root = _root(location)
    is_full = path.startswith(("/", "s3://"))
    full = path if is_full else f"{root.rstrip('/')}/{path}"
    real = _real(full, root, location)
    if not real:
        raise SourceError("A file is not of this customer's folder", came=f"{path} {LEAVES}", where=location)
    try:
        with _files.open_file(real) as stream:
            if stream.size() > most_bytes:
                came, expected = f"{stream.size():,} bytes", f"at most {most_bytes:,} bytes"
                raise SourceError("A file is too large", expected=expected, came=came, where=full)
            return bytes(stream.read())
    except OSError as error:
        raise SourceError("A file cannot be read", came=_first_line(error), where=full, do=_DO) from error


def _root(location: str) -> str:
    """The folder that paths are relative to: the location, what stands before its first pattern, or a file's folder."""
    scheme = "s3://" if location.startswith("s3://") else ""
    parts = PurePosixPath(location.removeprefix("s3://")).parts
    wild = next((place for place, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    fixed = scheme + str(PurePosixPath(*parts[:wild]))
    is_file = wild == len(parts) and (not Path(fixed).is_dir() if not scheme else _is_object(fixed))
    return scheme + str(PurePosixPath(fixed.removeprefix("s3://")).parent) if is_file else fixed


def _is_object(address: str) -> bool:
    from pyarrow.fs import FileType

    system, path = _bucket(address)
    return system.get_file_info(path).type == FileType.File


def _bucket(address: str) -> tuple[fs.FileSystem, str]:
    from pyarrow import fs

    return fs.FileSystem.from_uri("s3://" + quote(address.removeprefix("s3://"), safe="/*"))


def _judged(location: str) -> list[Found]:
    """The files of a location by name, each with its real path.

    Raises:
        SourceError: the customer may not read what lies there.
    """
    _files.real_location(location)
    root = _root(location)
    return [(path, modified, size, _real(path, root, location)) for path, modified, size in _listed(location)]


def _listed(location: str) -> list[tuple[str, int, int]]:
    """The files of a location by name, hidden ones apart."""
    root = _root(location)
    try:
        found = _in_bucket(root) if location.startswith("s3://") else _on_disk(Path(root))
        kept = sorted(each for each in found if not _is_hidden(_below(each[0], root)))
    except OSError as error:
        raise SourceError("A location cannot be listed", came=_first_line(error), where=location, do=_DO) from error
    if location.rstrip("/") == root.rstrip("/"):
        return kept
    depth = len(PurePosixPath(location).parts)
    fitting = (each for each in kept if len(PurePosixPath(each[0]).parts) == depth)
    return [each for each in fitting if each[0] == location or PurePosixPath(each[0]).match(location)]


def _on_disk(root: Path) -> Iterator[tuple[str, int, int]]:
    """Links to folders are listed as they are and not entered."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=refuse):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *links):
            path = Path(folder, name)
            told = path.lstat() if not path.exists() else path.stat()
            yield str(path), told.st_mtime_ns // 1000, told.st_size


def _in_bucket(root: str) -> Iterator[tuple[str, int, int]]:
    from pyarrow.fs import FileSelector, FileType

    system, path = _bucket(root)
    for info in system.get_file_info(FileSelector(path, recursive=True)):
        if info.type == FileType.File:
            yield f"s3://{info.path}", (info.mtime_ns or 0) // 1000, info.size


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/") + "/")


def _is_hidden(inner: str) -> bool:
    return any(part.startswith((".", "_")) for part in inner.split("/"))


def _real(path: str, root: str, location: str) -> str:
    """What is opened for a path; blank where it is not below ``root``.

    Raises:
        SourceError: the customer may not read it.
    """
    if path.startswith("s3://") or root.startswith("s3://"):
        is_below = path.startswith(root.rstrip("/") + "/") and ".." not in path.split("/")
        return _files.may_open(path, location) if is_below else ""
    real = Path(path).resolve()
    if not real.is_relative_to(Path(root).resolve()):
        return ""
    return _files.may_open(str(real), location) if real.is_file() else str(real)


def _inspected(spark: SparkSession, found: list[Found], root: str, options: Options) -> DataFrame:
    """A row for each file, made by the workers."""
    import regex

    groups = tuple(regex.compile(options.link).groupindex)
    _refuse_slow(options.link, [_below(each[0], root) for each in found])
    names = (*COLUMNS, *((CONTENT,) if options.contents else ()), *groups, *_files.RESERVED)
    kinds = {"size_bytes": "bigint", "modified_at": "timestamp"}
    schema = ", ".join(f"`{name}` {kinds.get(name, 'string')}" for name in names)

    def run(incoming: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        types = {"size_bytes": pa.int64(), "modified_at": pa.timestamp("us", "UTC")}
        arrow = pa.schema([(name, types.get(name, pa.string())) for name in names])
        for batch in incoming:
            rows = [_row(tuple(each.values()), root, options) for each in batch.to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema=arrow)

    parts = min(_files.MOST_PARTITIONS, -(-len(found) // FILES_PER_PART))
    frame = spark.createDataFrame(found, "path string, modified bigint, size bigint, real string")
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


def _row(found: Found, root: str, options: Options) -> dict[str, Any]:
    import regex

    path, modified, size, real = found
    inner, name = _below(path, root), PurePosixPath(path).name
    row: dict[str, Any] = {"path": path, "relative_path": inner, "name": name, _files.POSITION: inner}
    row["modified_at"] = datetime.fromtimestamp(modified // 1_000_000, UTC).replace(microsecond=modified % 1_000_000)
    linked = regex.search(options.link, inner) if options.link else None
    row |= linked.groupdict() if linked else {}
    complaint = "" if real else LEAVES
    if real:
        try:
            with _files.open_file(real) as stream:
                content = _media.content_of(name, stream)
        except (OSError, SourceError) as error:
            complaint = f"cannot be read: {_first_line(error)}"
        else:
            row |= {key: getattr(content, key) for key in ("kind", "media_type", "size_bytes", "sha256")}
            if options.contents and content.kind == "text" and not content.complaint:
                return row | _said(real, content.size_bytes)
            return row | {_files.CORRUPT: content.complaint or None}
    promised = _media.named_type(name)
    row |= {"kind": _media.kind_of(promised), "media_type": promised, "size_bytes": size}
    return row | {_files.CORRUPT: complaint}


def _said(path: str, size: int) -> dict[str, str]:
    """What a text file says, or why that cannot be told."""
    if size > MOST_TEXT_BYTES:
        return {_files.CORRUPT: f"is a text of {size:,} bytes, more than {MOST_TEXT_BYTES:,}"}
    with _files.open_file(path) as stream:
        said = bytes(stream.read())
    encoding = "utf-16" if said.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return {CONTENT: said.decode(encoding)}
    except UnicodeDecodeError as error:
        return {_files.CORRUPT: f"is no text in {encoding.removesuffix('-sig').upper()}: {error.reason}"}


def _manifest_at(location: str, options: Options) -> str | None:
    if options.manifest is None:
        return None
    root = _root(location)
    path = f"{root.rstrip('/')}/{options.manifest}"
    if not _real(path, root, location):
        expected = "a file below the folder, such as manifest.csv"
        came = f"{options.manifest}, which {LEAVES}"
        raise SourceError("A manifest is not of this customer's folder", expected=expected, came=came, where=location)
    return path


def _linked(spark: SparkSession, frame: DataFrame, manifest: str, options: Options) -> DataFrame:
    """The files beside the manifest's columns; its lines without a file with a complaint."""
    from pyspark.sql import functions as F

    lines = csv.read(spark, manifest, csv.Options.model_validate({}))
    if options.manifest_path not in lines.columns:
        expected = "a column " + " or ".join(repr(name) for name in lines.columns if name not in _files.RESERVED)
        came = f"{options.manifest_path!r} (options.manifest_path)"
        raise SourceError("A manifest lacks its column of paths", expected=expected, came=came, where=manifest)
    ids = [name for name in lines.columns if name not in (options.manifest_path, *_files.RESERVED)]
    named = unique(ids, (*frame.columns, "_named", "_unfit", "_line"))
    quoted = {name: F.col("`" + name.replace("`", "``") + "`") for name in (*ids, options.manifest_path)}
    plain = F.regexp_replace(F.trim(F.replace(quoted[options.manifest_path], F.lit("\\"), F.lit("/"))), "^[.]?/+", "")
    told = (F.col(_files.CORRUPT).alias("_unfit"), F.col(_files.POSITION).alias("_line"))
    lines = lines.select(plain.alias("_named"), *told, *(quoted[each].alias(named[each]) for each in ids))
    joined = frame.join(lines, F.col("relative_path") == F.col("_named"), "full_outer")
    absent = F.concat(F.lit("the manifest names a file that is not there: "), F.coalesce("_named", F.lit("no path")))
    lost = F.when(F.col("path").isNull(), absent)
    complaint = F.nullif(F.concat_ws("; ", F.col(_files.CORRUPT), lost, F.col("_unfit")), F.lit(""))
    position = F.coalesce(_files.POSITION, "_line")
    own = [name for name in frame.columns if name not in _files.RESERVED]
    return joined.select(*own, *named.values(), complaint.alias(_files.CORRUPT), position.alias(_files.POSITION))


def _is_kept(options: Options) -> Any:
    from pyspark.sql import functions as F

    return F.col("kind").isin(*options.kinds) | F.col("kind").isNull()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
