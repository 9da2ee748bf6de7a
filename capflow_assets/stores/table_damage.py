"""What is broken of a table: its log, or the files that the newest version names; and room for one in its place.

The log is opened and the files are listed, with their sizes: that is cheap, and finds what was deleted, cut short or
written over by something of another length. Only where reading has failed already are the files read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote

from capflow_assets.errors import TableError
from capflow_assets.stores.erased_history import LOG, named_files
from capflow_assets.stores.places import files_below, opened, remove_folder

if TYPE_CHECKING:
    from deltalake import DeltaTable

ENTRY = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d+\.\d+|\.[0-9a-f-]+)?\.(parquet|json)")
# Stages whose tables any run makes again from others; what is in other stages is kept, and made by no run again.
MADE_AGAIN = ("clean", "features", "predictions", "validation")
# Stages whose tables hold what was, and are carried on without it where it is lost.
GOING_ON = ("answers", "arrivals", "health", "performance", "retrainings", "shadows")
SPOILT = re.compile("parquet|json error|delta|commit file|no such file|object at location", re.IGNORECASE)


def damage(path: str, *, is_read: bool = False) -> str:
    """What is broken of the table in a folder or ``s3://…``; empty where all is well, and where there is no table.

    With ``is_read`` its files are read as well.
    """
    broken = log_damage(path)
    if broken or not _entries(path):
        return broken
    from deltalake import DeltaTable

    table = DeltaTable(path)
    return _file_damage(path, table) or (_content_damage(path, table) if is_read else "")


def log_damage(path: str) -> str:
    """What is broken of a table's log; empty where all is well, and where nothing was ever committed."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        entries = _entries(path)
    except NotADirectoryError:
        return f"its {LOG} is no folder"
    if not entries:
        # A sum is written once its entry is; without one, nothing was ever committed.
        is_summed = any(info.base_name.endswith(".crc") for info in files_below(f"{path}/{LOG}"))
        return "its log has no entry" if is_summed else ""
    checkpoint = max((int(entry[1]) for entry in map(CHECKPOINT.fullmatch, entries) if entry), default=-1)
    versions = sorted(int(entry[1]) for entry in map(ENTRY.fullmatch, entries) if entry)
    newer = [version for version in versions if version > checkpoint]
    gone = sorted(set(range(checkpoint + 1, max(newer, default=-1))) - set(newer))
    if gone:
        return f"{LOG}/{gone[0]:020d}.json is gone"
    try:
        DeltaTable(path)
    except (DeltaError, OSError) as error:
        return f"its log cannot be read: {str(error).splitlines()[0][:300]}"
    return ""


def make_room(path: str) -> bool:
    """Take an unreadable log away, so that a table can be written in its place; whether there was one.

    The files stay until they are cleared out with those of old versions: no table names them any more.
    """
    if not log_damage(path):
        return False
    try:
        remove_folder(f"{path}/{LOG}")
    except NotADirectoryError:
        store, folder = opened(path)
        store.delete_file(f"{folder}/{LOG}")
    return True


def remedy(customer: str, table: str, path: str) -> str:
    """What to do about a damaged table."""
    stage = table.partition("/")[0]
    if stage == "raw":
        return f"read everything that the source still holds again: capflow run {customer} --full"
    if stage in MADE_AGAIN:
        return f"make it again: capflow run {customer} --full"
    if stage in GOING_ON:
        return f"bring {path} back from a backup; without one, remove it: the next scoring begins it anew"
    return f"bring {path} back from a backup: no run makes it again"


def damaged_table(customer: str, table: str, path: str, broken: str) -> TableError:
    """The error that names a damaged table, and says what mends it."""
    return TableError(f"{table} of {customer} is damaged", came=broken, where=path, do=remedy(customer, table, path))


def culprit(customer: str, paths: Iterable[tuple[str, str]], words: str) -> TableError | None:
    """The damaged one among tables, each with its path, that an error may come from; None where all are sound.

    ``words`` are the error's: where they are of files' contents, the tables' own are read.
    """
    is_read = "parquet" in words.lower()
    for table, path in paths if SPOILT.search(words) else ():
        with suppress(OSError):  # the error that is to be explained says more than one of looking for its cause
            broken = damage(path, is_read=is_read)
            if not broken:
                continue
            return damaged_table(customer, table, path, broken)
    return None


@contextmanager
def named_if_damaged(customer: str, table: str, path: str) -> Iterator[None]:
    """While a table is read: an error that comes of its damage names it, and says what mends it."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        broken = ""
        with suppress(OSError):  # the error that is to be explained says more than one of looking for its cause
            broken = damage(path, is_read=True)
        if broken:
            raise damaged_table(customer, table, path, broken) from error
        raise


def _entries(path: str) -> list[str]:
    names = [info.base_name for info in files_below(f"{path}/{LOG}")]
    return [name for name in names if ENTRY.fullmatch(name) or CHECKPOINT.fullmatch(name)]


def _file_damage(path: str, table: DeltaTable) -> str:
    """The first file that is gone, or of another size than the log says."""
    import pyarrow as pa

    root = opened(path)[1]
    sizes = {info.path.removeprefix(root).lstrip("/"): info.size for info in files_below(path)}
    actions = pa.table(table.get_add_actions(flatten=True))
    for name, size in zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
        there = sizes.get(name, sizes.get(unquote(name)))
        if there is None:
            return f"{name} is gone"
        if there != size:
            return f"{name} has {there:,} bytes, and its log says {size:,}"
    return ""


def _content_damage(path: str, table: DeltaTable) -> str:
    """The first file that cannot be read through."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    store, root = opened(path)
    for name in sorted(named_files(path, table)):
        try:
            with store.open_input_file(f"{root}/{name}") as stream, ParquetFile(stream) as file:
                for _ in file.iter_batches():
                    pass
        except (OSError, pa.ArrowException) as error:
            return f"{name} cannot be read: {str(error).splitlines()[0][:200]}"
    return ""
