"""What sources that read files share: which files a location means, reading them by Arrow batches, finding rows again.

Files are read by workers (``mapInArrow``) where the engine's own reader would refuse them or read them wrongly, so that
a file reads the same on every engine; each is judged when it is listed and opened without links (``paths.fence``).
Credentials and the endpoint of ``s3://`` come from the process (``AWS_*``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets.sources.reading import listing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as fs


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file: its real path or ``s3://`` address, its size, and the path by which its location names it.

    Of a member of a zip ``path`` is the address (``packed_files``) and the size is that of what is unpacked.
    """

    path: str
    size_bytes: int
    listed: str = ""
    member: str = ""

    @property
    def named(self) -> str:
        """The path that people know."""
        return self.listed or self.path


def stored_files(location: str) -> list[StoredFile]:
    """The files that ``location`` means, by name: a file, a folder with all in it, or a glob (``* ? [a]``).

    Files and folders whose name starts with ``_`` or ``.`` are left out, as Spark does.

    Raises:
        SourceError: nothing is there, it cannot be listed, it is a Delta table, or all of it is empty.
    """
    real_location(location)
    try:
        is_local = not location.startswith("s3://")
        entries = listing.on_disk(location) if is_local else listing.in_bucket(*opened(location))
    except OSError as error:
        raise SourceError("A location cannot be listed", came=first_line(error), where=location, do=_ACCESS) from error
    prefix = "s3://" if location.startswith("s3://") else ""
    files = [StoredFile(may_open(prefix + info.path, location), info.size, prefix + info.path) for info in entries]
    if not files:
        raise SourceError(
            "There are no files",
            expected="a file, a folder with files or a glob that matches some",
            where=location,
            do=_EXPORTED,
        )
    if not any(file.size_bytes for file in files):
        expected = "a file that is not empty"
        raise SourceError("There is no data", expected=expected, came="0 bytes", where=location, do=_EXPORTED)
    return files


def may_open(path: str, location: str) -> str:
    """The real path or the address of a file of ``location``.

    Raises:
        SourceError: the customer may not read it.
    """
    return fence.address(path, location) if path.startswith("s3://") else fence.real_path(path, location)


def real_location(location: str) -> str:
    """The location with the links before its first pattern resolved, for an engine that opens it by itself.

    Raises:
        SourceError: the customer may not read what lies there.
    """
    if location.startswith("s3://"):
        return fence.address(location, location)
    fixed = fence.fixed_part(location)
    real = fence.real_path(fixed, location)
    return real + str(PurePosixPath(location)).removeprefix(fixed)


def open_file(path: str) -> pa.NativeFile:
    """The bytes of one stored file, for reading from any place in it."""
    from pyarrow import fs

    if path.startswith("s3://"):
        system, inner = opened(path)
        return system.open_input_file(inner)
    with fence.opened(path) as inner:
        return fs.LocalFileSystem().open_input_file(inner)


def shown_names(location: str, files: Sequence[StoredFile]) -> dict[str, str]:
    """What people are shown for each path: its part below the folder of ``location``, or the file's own name.

    >>> shown_names("/in/2024", [StoredFile("/in/2024/may/bills.csv", 1)])
    {'/in/2024/may/bills.csv': 'may/bills.csv'}
    >>> shown_names("/in/*.csv", [StoredFile("/mnt/7.csv", 1, "/in/bills.csv")])
    {'/mnt/7.csv': 'bills.csv'}
    >>> shown_names("/in/a.zip", [StoredFile("/in/a.zip-zip:b.csv", 1, "/in/a.zip", "b.csv")])
    {'/in/a.zip-zip:b.csv': 'a.zip!b.csv'}
    """
    paths = [file.named for file in files]
    folder = location.rstrip("/") + "/"
    if not all(path.startswith(folder) for path in paths):
        folder = fence.fixed_part(location.removeprefix("s3://")) + "/"
        folder = f"s3://{folder}" if location.startswith("s3://") else folder
    shown = (path.removeprefix(folder) if path.startswith(folder) else PurePosixPath(path).name for path in paths)
    return {
        file.path: f"{name}!{file.member}" if file.member else name for file, name in zip(files, shown, strict=True)
    }


_EXPORTED = "check that the export ran, and the location in the customer's TOML"
_ACCESS = "check the path, and for s3:// the credentials, AWS_REGION and AWS_ENDPOINT_URL of the process"


def opened(location: str) -> tuple[fs.FileSystem, str]:
    """The file system of a location, and the path in it."""
    from pyarrow import fs

    if not location.startswith("s3://"):
        return fs.LocalFileSystem(), location
    try:
        return fs.FileSystem.from_uri("s3://" + quote(location.removeprefix("s3://"), safe="/*"))
    except (OSError, ValueError) as error:
        raise SourceError("A bucket cannot be opened", came=first_line(error), where=location, do=_ACCESS) from error


def first_line(error: Exception) -> str:
    """The first line of another library's error."""
    return str(error).strip().split("\n")[0][:300]
