"""The files below a location, by name, each with the path that may be opened.

A link that leads out of the folder is not followed: what lies there may be another customer's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from capflow_assets.errors import SourceError
from capflow_assets.sources.reading import storage

if TYPE_CHECKING:
    import pyarrow.fs as fs

LEAVES = "is or goes through a link that leaves the folder"
CHECK_ACCESS = "check the location in the customer's TOML, and that it may be read"
# The path, when it was last written in microseconds since 1970, its size, its real path (blank: not to be opened).
ListedFile = tuple[str, int, int, str]


def root_of(location: str) -> str:
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


def judged_files(location: str) -> list[ListedFile]:
    """The files of a location by name, each with its real path.

    Raises:
        SourceError: the customer may not read what lies there.
    """
    storage.real_location(location)
    root = root_of(location)
    return [(path, modified, size, real_path(path, root, location)) for path, modified, size in _listed(location)]


def _listed(location: str) -> list[tuple[str, int, int]]:
    """The files of a location by name, hidden ones apart."""
    root = root_of(location)
    try:
        entries = _in_bucket(root) if location.startswith("s3://") else _on_disk(Path(root))
        visible = sorted(file for file in entries if not _is_hidden(path_below(file[0], root)))
    except OSError as error:
        raise SourceError(
            "A location cannot be listed", came=storage.first_line(error), where=location, do=CHECK_ACCESS
        ) from error
    if location.rstrip("/") == root.rstrip("/"):
        return visible
    depth = len(PurePosixPath(location).parts)
    fitting = (file for file in visible if len(PurePosixPath(file[0]).parts) == depth)
    return [file for file in fitting if file[0] == location or PurePosixPath(file[0]).match(location)]


def _on_disk(root: Path) -> Iterator[tuple[str, int, int]]:
    """Links to folders are listed as they are and not entered."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=refuse):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *links):
            path = Path(folder, name)
            status = path.lstat() if not path.exists() else path.stat()
            yield str(path), status.st_mtime_ns // 1000, status.st_size


def _in_bucket(root: str) -> Iterator[tuple[str, int, int]]:
    from pyarrow.fs import FileSelector, FileType

    system, path = _bucket(root)
    for info in system.get_file_info(FileSelector(path, recursive=True)):
        if info.type == FileType.File:
            yield f"s3://{info.path}", (info.mtime_ns or 0) // 1000, info.size


def path_below(path: str, root: str) -> str:
    """The part of a path that is below the folder ``root``."""
    return path.removeprefix(root.rstrip("/") + "/")


def _is_hidden(inner: str) -> bool:
    return any(part.startswith((".", "_")) for part in inner.split("/"))


def real_path(path: str, root: str, location: str) -> str:
    """What is opened for a path; blank where it is not below ``root``.

    Raises:
        SourceError: the customer may not read it.
    """
    if path.startswith("s3://") or root.startswith("s3://"):
        is_below = path.startswith(root.rstrip("/") + "/") and ".." not in path.split("/")
        return storage.may_open(path, location) if is_below else ""
    real = Path(path).resolve()
    if not real.is_relative_to(Path(root).resolve()):
        return ""
    return storage.may_open(str(real), location) if real.is_file() else str(real)
