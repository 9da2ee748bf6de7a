"""The files that a Delta table's log names, judged before an engine opens them by itself.

A log may name files by absolute paths and addresses (a shallow clone does), or by ``..``, and what lies in the folder
may be a link: any of them may lead to another customer's rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets.sources.reading import storage

if TYPE_CHECKING:
    import pyarrow.fs as fs

LOG = "_delta_log"
THREADS = 16
# Where a log names files, and the deletion vectors that lie at a place of their own ("p").
FILE_ACTIONS = ("add", "remove", "cdc", "sidecar")
ABSOLUTE = "p"


def judged(location: str) -> str:
    """The location that the engine may open: every file that it would come to has been judged.

    Raises:
        SourceError: a link in the table's folder, or a path in its log, leads to what this customer may not read.
    """
    if fence.current() is None:
        return location
    place = storage.real_location(location)
    if not place.startswith("s3://"):
        _judge_links(place, location)
    for path in _named(place, location):
        _judge(path, place, location)
    return place


def _judge_links(folder: str, location: str) -> None:
    for above, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(above, name)  # noqa: PTH118
            if os.path.islink(path):  # noqa: PTH114
                fence.real_path(path, location)


def _judge(path: str, table: str, location: str) -> None:
    """Judge a path as it stands in a log, and as it is when its percent signs are read."""
    for spelling in {path, unquote(path)}:
        scheme = urlsplit(spelling).scheme.lower()
        if scheme in ("s3", "s3a", "s3n"):
            fence.address(f"s3://{spelling.partition('://')[2]}", location)
        elif scheme == "file":
            fence.real_path(unquote(urlsplit(spelling).path), location)
        elif "://" in spelling:
            expected = "files in the table's folder"
            raise SourceError("A Delta table has files elsewhere", expected=expected, came=path, where=location)
        elif table.startswith("s3://"):
            if spelling.startswith("/") or ".." in spelling.split("/"):
                raise SourceError("A Delta table has files elsewhere", came=path, where=location)
        elif spelling.startswith("/") or ".." in spelling.split("/"):
            fence.real_path(spelling if spelling.startswith("/") else f"{table}/{spelling}", location)


def _named(place: str, location: str) -> Iterator[str]:
    """Every path that the log names, in any version."""
    from pyarrow.fs import FileSelector, FileType

    system, folder = storage.opened(place)
    try:
        entries = system.get_file_info(FileSelector(f"{folder}/{LOG}", recursive=True, allow_not_found=True))
        logs = [info.path for info in entries if info.type == FileType.File and info.size]
        with ThreadPoolExecutor(THREADS) as pool:
            for paths in pool.map(lambda log: list(_paths(system, log)), logs):
                yield from paths
    except (OSError, ValueError) as error:
        received = str(error).strip().split("\n")[0][:300]
        raise SourceError("A Delta table's log cannot be read", came=received, where=location) from error


def _paths(system: fs.FileSystem, log: str) -> Iterator[str]:
    if log.endswith(".json"):
        with system.open_input_stream(log) as stream:
            lines = stream.read().decode("utf-8", "replace").splitlines()
        for line in filter(str.strip, lines):
            action = json.loads(line)
            yield from _of(action if isinstance(action, dict) else {})
    elif log.endswith(".parquet"):
        yield from _of_checkpoint(system, log)


def _of_checkpoint(system: fs.FileSystem, log: str) -> Iterator[str]:
    from pyarrow.parquet import ParquetFile

    with system.open_input_file(log) as stream, ParquetFile(stream) as file:
        columns = [f"{name}.{part}" for name in FILE_ACTIONS for part in ("path", "deletionVector")]
        present = [field.name for field in file.schema_arrow]
        for batch in file.iter_batches(columns=[column for column in columns if column.partition(".")[0] in present]):
            for row in batch.to_pylist():
                yield from _of(row)


def _of(action: dict[str, Any]) -> Iterator[str]:
    for name in FILE_ACTIONS:
        entry = action.get(name)
        if not isinstance(entry, dict):
            continue
        if isinstance(entry.get("path"), str):
            yield (
                f"{LOG}/_sidecars/{entry['path']}" if name == "sidecar" and "/" not in entry["path"] else entry["path"]
            )
        vector = entry.get("deletionVector")
        if isinstance(vector, dict) and vector.get("storageType") == ABSOLUTE:
            yield str(vector.get("pathOrInlineDv"))
