"""The files of a location as exports: what each is called in ``_position``, and when it was last written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from capflow_assets.sources import _files

if TYPE_CHECKING:
    from pyspark.sql import Column


def files_of(location: str, *, with_times: bool = False) -> dict[str, datetime | None]:
    """What people are shown for each file of a location that is not empty, and when it was written, if asked.

    Raises:
        SourceError: nothing is there, or it cannot be listed.
    """
    files = [file for file in _files.stored_files(location) if file.size_bytes]
    shown = _files.shown_names(location, files)
    return {shown[file.path]: _written_at(file.path) if with_times else None for file in files}


def file_in(position: Column, after: str) -> Column:
    """The file of a row, whose ``_position`` goes on with what the pattern ``after`` fits."""
    from pyspark.sql import functions as F

    return F.regexp_replace(position, after, "")


def _written_at(path: str) -> datetime | None:
    if not path.startswith("s3://"):
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
    system, inner = _files.opened(path)
    (info,) = system.get_file_info([inner])
    return info.mtime
