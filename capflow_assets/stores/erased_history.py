"""Old versions of a table, and of a bucket's objects, taken away for good: what was deleted cannot be read again.

A Delta table keeps deleted rows in files of older versions, and least and greatest values (ids among them) and
predicates in its log. Here the files go that the newest version does not name; then a commit that says nothing, and a
checkpoint of it, take the place of the whole log. The newest version keeps its rows, and readers of it see no change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from capflow_assets.stores.places import files_below, opened, remove_folder

if TYPE_CHECKING:
    import pyarrow.fs as fs
    from deltalake import DeltaTable

LOG = "_delta_log"
LAST = "_last_checkpoint"


def keep_newest_version(path: str) -> int:
    """Take away everything of a table but its newest version, and give how many files that were.

    A table that has nothing else is left as it is.
    """
    from deltalake import DeltaTable

    table = DeltaTable(path)
    unknown = _unknown(path, table)
    if not unknown and not _old_logs(path, int(table.version())):
        return 0
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    removed = len(unknown) + remove_folder(f"{path}/_change_data")
    table = DeltaTable(path)
    columns = table.metadata().partition_columns
    # Readers want the commit that a checkpoint is of, and the commit of a deletion names what was deleted.
    table.create_write_transaction([], "append", table.schema(), partition_by=columns)
    table = DeltaTable(path)
    table.create_checkpoint()
    store, _ = opened(path)
    for info in (old := _old_logs(path, int(table.version()))):
        store.delete_file(info.path)
    return removed + len(old)


def named_files(path: str, table: DeltaTable) -> set[str]:
    """The data files of a table's newest version, by their paths below the table's folder."""
    return {unquote(uri).removeprefix(path).lstrip("/") for uri in table.file_uris()}


def _unknown(path: str, table: DeltaTable) -> list[str]:
    """The data files below a table's folder that its newest version does not name."""
    root, named = opened(path)[1], named_files(path, table)
    below = [info.path.removeprefix(root).lstrip("/") for info in files_below(path)]
    return [name for name in below if name.endswith(".parquet") and not name.startswith(LOG) and name not in named]


def _old_logs(path: str, version: int) -> list[fs.FileInfo]:
    newest = (f"{version:020d}.json", f"{version:020d}.checkpoint.parquet", LAST)
    return [info for info in files_below(f"{path}/{LOG}") if info.base_name not in newest]


def remove_old_objects(place: str) -> int:
    """Remove what a bucket with versioning keeps of overwritten and deleted objects below ``s3://…``; how many.

    Raises:
        botocore.exceptions.ClientError: this identity may not list or delete versions.
    """
    import boto3

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    old: list[dict[str, str]] = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        versions = [entry for entry in page.get("Versions", ()) if not entry["IsLatest"]]
        old += [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in versions]
        old += [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in page.get("DeleteMarkers", ())]
    for start in range(0, len(old), 1000):
        client.delete_objects(Bucket=bucket, Delete={"Objects": old[start : start + 1000], "Quiet": True})
    return len(old)
