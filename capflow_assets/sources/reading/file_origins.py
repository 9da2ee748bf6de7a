"""What the place of a file says of its rows: its name, and the values of folders that are called ``key=value``.

Such folders are how Hive, Spark and warehouses split a table; keys and values are decoded as these encode them
(``%20``). Only what stands below the fixed part of a location counts: the folders that it leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets.sources.reading import arrow_frames, packed_files, storage

if TYPE_CHECKING:
    import pyarrow as pa

# Hive's word for a folder of rows without a value.
NOTHING = "__HIVE_DEFAULT_PARTITION__"
Origins = Mapping[str, Mapping[str, str | None]]


def of_files(
    location: str, files: Sequence[storage.StoredFile], file_column: str = "", folder_columns: bool = True
) -> Origins:
    """The values that each file's place gives, by path and column; every file has the same columns.

    Raises:
        SourceError: the file's name is to have the name of a folder's value.
    """
    shown = storage.shown_names(location, files)
    folders = {file.path: _folders(location, file) if folder_columns else {} for file in files}
    names = {name.casefold(): name for values in folders.values() for name in values}
    if file_column and file_column.casefold() in names:
        do = "options.file_column: another name"
        raise SourceError("A column for the file's name is a folder's", came=file_column, where=location, do=do)
    origins: dict[str, dict[str, str | None]] = {}
    for file in files:
        there = {name.casefold(): value for name, value in folders[file.path].items()}
        values = {name: there.get(key) for key, name in names.items()}
        origins[file.path] = values | ({file_column: shown[file.path]} if file_column else {})
    return origins


def refuse_conflicts(origins: Origins, columns: Mapping[str, Sequence[str]]) -> None:
    """Refuse files with a column of the name that their place gives one.

    Raises:
        SourceError: names both.
    """
    for path, values in origins.items():
        known = {name.casefold(): name for name in columns[path]}
        both = [name for name in values if name.casefold() in known]
        if both:
            do = "options: folder_columns = false leaves the folders' values out; file_column takes another name"
            raise SourceError(
                "The place of a file and the file itself have a column of one name",
                expected="one value a row",
                came=f"{both[0]} = {values[both[0]]!r} by its place, and a column {known[both[0].casefold()]!r}",
                where=packed_files.shown(path),
                do=do,
            )


def with_values(batch: pa.RecordBatch, values: Mapping[str, str | None]) -> pa.RecordBatch:
    """The rows with the values of their file's place."""
    import pyarrow as pa

    for name, value in values.items():
        batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), batch.num_rows))
    return batch


def with_columns(schema: pa.Schema, origins: Origins) -> pa.Schema:
    """The schema with the columns that the files' places give before the reserved ones."""
    import pyarrow as pa

    reserved_names = (*arrow_frames.RESERVED, arrow_frames.UNFIT_COLUMNS)
    own = [field for field in schema if field.name not in reserved_names]
    reserved = [field for field in schema if field.name in reserved_names]
    names = list(dict.fromkeys(name for values in origins.values() for name in values))
    return pa.schema([*own, *((name, pa.string()) for name in names), *reserved])


def _folders(location: str, file: storage.StoredFile) -> dict[str, str | None]:
    """What the folders below a location say of a file.

    >>> file = storage.StoredFile("/in/store=A%20%26%20B/day=__HIVE_DEFAULT_PARTITION__/1.csv", 1)
    >>> _folders("/in", file)
    {'store': 'A & B', 'day': None}
    >>> _folders("/in/store=*/*.csv", storage.StoredFile("/in/store=7/1.csv", 1))
    {'store': '7'}
    """
    fixed = PurePosixPath(fence.fixed_part(location.removeprefix("s3://")))
    path = PurePosixPath(file.named.removeprefix("s3://"))
    inner = path.relative_to(fixed).parts[:-1] if path.is_relative_to(fixed) else ()
    parts = [part for part in (*inner, *PurePosixPath(file.member).parts[:-1]) if "=" in part]
    pairs = (part.partition("=") for part in parts)

    def is_name(key: str) -> bool:
        return bool(key) and unquote(key).lower() not in (*arrow_frames.RESERVED, arrow_frames.UNFIT_COLUMNS)

    return {unquote(key): None if value == NOTHING else unquote(value) for key, _, value in pairs if is_name(key)}
