"""A place (a folder of this machine, or an address such as ``s3://…``) as a file system and a path there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow.fs as fs


def is_remote(place: str) -> bool:
    """Whether a place is an address rather than a folder of this machine.

    >>> is_remote("s3://lake/acme"), is_remote("/srv/lake/acme")
    (True, False)
    """
    return "://" in place


def opened(place: str) -> tuple[fs.FileSystem, str]:
    """The file system that has a place, and the place's path there."""
    from pyarrow import fs

    store, path = fs.FileSystem.from_uri(place if is_remote(place) else Path(place).resolve().as_uri())
    return store, path


def files_below(place: str) -> list[fs.FileInfo]:
    """All files below a folder, by path; none where there is no such folder."""
    from pyarrow import fs

    store, path = opened(place)
    infos = store.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return sorted((info for info in infos if info.type == fs.FileType.File), key=lambda info: info.path)


def remove_folder(place: str) -> int:
    """Remove a folder with all that is in it, and give how many files that were.

    Of a link the link itself goes, and what it leads to stays: it is another's.
    """
    from pyarrow import fs

    if not is_remote(place) and (link := Path(place)).is_symlink():
        link.unlink()
        return 1
    files = files_below(place)
    store, path = opened(place)
    if store.get_file_info(path).type == fs.FileType.Directory:
        store.delete_dir(path)
    return len(files)
