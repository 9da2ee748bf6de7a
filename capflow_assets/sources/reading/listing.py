"""The files that a location means, by name: one file, a folder with all in it, or a pattern (``* ? [a]``).

On a disk, links to folders are followed, each folder once: a link to a folder above would never end. Where a link leads
is judged before anything is listed there (``paths.fence``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence

if TYPE_CHECKING:
    import pyarrow.fs as fs

DELTA_LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as it was listed: its path in its file system, and its size."""

    path: str
    size: int


def on_disk(location: str) -> list[Listed]:
    """The local files that a location means.

    Raises:
        SourceError: a link leads where this customer may not read; the folder holds a Delta table.
        OSError: a folder cannot be listed.
    """
    if os.path.isfile(location):  # noqa: PTH113
        return [Listed(location, os.path.getsize(location))]  # noqa: PTH202
    if os.path.isdir(location):  # noqa: PTH112
        files = list(_below(location, location, set()))
    else:
        fixed = fence.fixed_part(location)
        patterns = PurePosixPath(location).parts[len(PurePosixPath(fixed).parts) :]
        files = list(_matching(fixed, patterns, location)) if patterns else []
    return sorted(files, key=lambda file: file.path)


def in_bucket(system: fs.FileSystem, path: str) -> list[Listed]:
    """The objects that a path in a bucket means.

    Raises:
        SourceError: the folder holds a Delta table.
        OSError: it cannot be listed.
    """
    from pyarrow.fs import FileType

    info = system.get_file_info(path)
    if info.type == FileType.File:
        return [Listed(info.path, info.size)]
    if info.type == FileType.Directory:
        return _objects(system, path)
    fixed = fence.fixed_part(path)
    if fixed == path or system.get_file_info(fixed).type != FileType.Directory:
        return []
    depth = len(PurePosixPath(path).parts)
    shown = (entry for entry in _objects(system, fixed) if len(PurePosixPath(entry.path).parts) == depth)
    return [entry for entry in shown if PurePosixPath(entry.path).match(path)]


def _objects(system: fs.FileSystem, folder: str) -> list[Listed]:
    from pyarrow.fs import FileSelector, FileType

    everything = system.get_file_info(FileSelector(folder, recursive=True))
    if any(PurePosixPath(info.path).name == DELTA_LOG for info in everything):
        raise _is_delta(folder)
    files = [Listed(info.path, info.size) for info in everything if info.type == FileType.File]
    return sorted(
        (listed_object for listed_object in files if not _is_hidden(listed_object.path, folder)),
        key=lambda listed_object: listed_object.path,
    )


def _below(folder: str, location: str, seen: set[str]) -> Iterator[Listed]:
    """All files below a folder."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in _entries(folder):
        if _is_hidden(entry.name):
            continue
        if _is_entered(entry, location):
            yield from _below(entry.path, location, seen)
        elif _is_file(entry):
            yield Listed(entry.path, entry.stat().st_size)


def _matching(folder: str, patterns: Sequence[str], location: str) -> Iterator[Listed]:
    """The files that fit a pattern for each folder on the way and for the name."""
    pattern, *inner = patterns
    for entry in _entries(folder) if os.path.isdir(folder) else ():  # noqa: PTH112
        if _is_hidden(entry.name) or not fnmatchcase(entry.name, pattern):
            continue
        if inner and _is_entered(entry, location):
            yield from _matching(entry.path, inner, location)
        elif not inner and _is_file(entry):
            yield Listed(entry.path, entry.stat().st_size)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    if any(entry.name == DELTA_LOG for entry in entries):
        raise _is_delta(folder)
    return entries


def _is_entered(entry: os.DirEntry[str], location: str) -> bool:
    """Whether an entry is a folder; one that a link leads to is judged first."""
    if entry.is_dir() and entry.is_symlink():
        fence.real_path(entry.path, location)
    return entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file; a link that leads nowhere is none, and neither is a pipe."""
    try:
        return S_ISREG(entry.stat().st_mode)
    except OSError:
        return False


def _is_hidden(path: str, folder: str = "") -> bool:
    inner = PurePosixPath(path).relative_to(folder).parts if folder else (path,)
    # ``_date=2020`` is a partition of Spark's, not a hidden folder.
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in inner)


def _is_delta(folder: str) -> SourceError:
    do = 'say source = "delta"; if only a part of the folder is meant, narrow the location'
    return SourceError("The folder holds a Delta table, whose files are not its rows", where=folder, do=do)
