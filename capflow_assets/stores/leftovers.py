"""What a writer that was killed left in a customer's prefix: staged tables, and rows that were never committed.

Only who holds the customer's lock may remove it: then nobody else is writing. A folder of rows beside a table's own
(``landing-…`` of a raw table, ``computed-…`` of another) goes only where no entry of the table's log names a file of
it, be it as added or as removed, since older versions are read for a week. Where a log cannot be read, nothing of that
table is removed.

A few looks tell a customer without leftovers, and one for each table; a log is read only where there is a folder
that its newest version does not name, from its newest entry back to where that folder is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.stores.lake import STAGING, Lake
from capflow_assets.stores.places import opened, remove_folder
from capflow_assets.stores.written_files import COMPUTED, LANDED_STAGE, LANDING

if TYPE_CHECKING:
    import pyarrow.fs as fs

# The stages whose tables are written beside what lies there, and what the folders are called.
WRITTEN_BESIDE = {LANDED_STAGE: LANDING, "clean": COMPUTED, "validation": COMPUTED, "features": COMPUTED}
LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was removed, as paths below the customer's prefix, and the tables whose logs could not be read."""

    removed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def words(self) -> str:
        """What was done, for the log."""
        said = f"removed what killed runs had left: {', '.join(self.removed)}" if self.removed else ""
        kept = f"left as it is, since the log cannot be read: {', '.join(self.unread)}" if self.unread else ""
        return "; ".join(part for part in (said, kept) if part)


def clean(lake: Lake, customer: str) -> Leftovers:
    """Remove what killed writers left of a customer. The caller holds the customer's lock."""
    store, prefix = opened(lake.in_place(lake.prefix(customer)))
    removed = []
    for folder in _folders(store, prefix):
        if folder.startswith(f"{STAGING}."):
            remove_folder(f"{lake.prefix(customer)}/{folder}")
            removed.append(folder)
    unread = []
    for stage, prefix_of_rows in WRITTEN_BESIDE.items():
        for name in _folders(store, f"{prefix}/{stage}"):
            table = f"{stage}/{name}"
            uri = lake.in_place(f"{lake.prefix(customer)}/{table}")
            try:
                left = _unnamed(store, f"{prefix}/{table}", uri, prefix_of_rows)
            except Exception:  # whatever keeps a log from being read, what it names is not known
                unread.append(table)
                continue
            for folder in sorted(left):
                remove_folder(f"{uri}/{folder}")
                removed.append(f"{table}/{folder}")
    return Leftovers(tuple(removed), tuple(unread))


def _folders(store: fs.FileSystem, place: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    infos = store.get_file_info(FileSelector(place, allow_not_found=True))
    return sorted(info.base_name for info in infos if info.type == FileType.Directory)


def _unnamed(store: fs.FileSystem, place: str, uri: str, prefix: str) -> set[str]:
    """The folders of rows beside a table's own that nothing in its log names."""
    folders = _folders(store, place)
    left = {folder for folder in folders if folder.startswith(prefix)}
    if not left or LOG not in folders:  # a first landing that was killed: there is no log
        return left
    from deltalake import DeltaTable

    current = DeltaTable(uri).file_uris()
    left -= {part for file in current for part in file.split("/") if part.startswith(prefix)}
    for entry in _entries(store, f"{place}/{LOG}") if left else ():
        left -= {folder for folder in left if f"{folder}/" in entry}
        if not left:
            break
    return left


def _entries(store: fs.FileSystem, log: str) -> Iterator[str]:
    """The entries of a log as text, the newest first; then what its checkpoints sum up."""
    from pyarrow.fs import FileSelector, FileType

    files = [info.path for info in store.get_file_info(FileSelector(log, recursive=True)) if info.type == FileType.File]
    for path in sorted((path for path in files if path.endswith(".json")), reverse=True):
        with store.open_input_stream(path) as stream:
            yield stream.read().decode()
    for path in sorted((path for path in files if path.endswith(".parquet")), reverse=True):
        yield "\n".join(_named(store, path))


def _named(store: fs.FileSystem, checkpoint: str) -> Iterator[str]:
    import pyarrow.parquet as pq

    with store.open_input_file(checkpoint) as stream:
        file: Any = pq.ParquetFile(stream)
        columns = [name for name in ("add.path", "remove.path") if name in {c.path for c in _columns(file)}]
        for row in file.read(columns=columns).to_pylist() if columns else ():
            yield from (action["path"] for action in row.values() if action and action.get("path"))


def _columns(file: Any) -> Iterator[Any]:
    return (file.schema.column(place) for place in range(len(file.schema.names)))
