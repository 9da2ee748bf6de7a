"""The files of a location as exports: what each is called in ``_position``, and when it was last written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.sources.reading import packed_files, storage

if TYPE_CHECKING:
    from pyspark.sql import Column


def files_of(location: str, options: Any, *, with_times: bool = False) -> dict[str, datetime | None]:
    """What people are shown for each file of a location that is not empty, and when it was written, if asked.

    The members of a zip are files of their own where the source reads packed ones (its options have ``members``).

    Raises:
        SourceError: nothing is there, or it cannot be listed.
    """
    members = getattr(options, "members", None)
    packed = None if members is None else packed_files.files_of(location, members, of_text=False)
    files = packed if packed is not None else [file for file in storage.stored_files(location) if file.size_bytes]
    shown = storage.shown_names(location, files)
    return {
        shown[file.path]: _written_at(file.path.partition(packed_files.BEHIND)[0]) if with_times else None
        for file in files
    }


def file_in(position: Column, after: str) -> Column:
    """The file of a row, whose ``_position`` goes on with what the pattern ``after`` fits."""
    from pyspark.sql import functions as F

    return F.regexp_replace(position, after, "")


def _written_at(path: str) -> datetime | None:
    if not path.startswith("s3://"):
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
    system, inner = storage.opened(path)
    (info,) = system.get_file_info([inner])
    return info.mtime
