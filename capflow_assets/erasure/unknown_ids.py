"""Ids that no version of a customer's tables holds: forgetting them changes nothing, and the command says so.

Users whose rows are only in older versions of a table, or whose erasure was interrupted, are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.expressions.ids import BLANKS, normal
from capflow_assets.stores.erased_history import LOG
from capflow_assets.stores.places import files_below, opened
from capflow_assets.tables.suppression import digest, forgotten

if TYPE_CHECKING:
    import pyarrow.dataset as ds

USER = "user_id"


def strangers(rows: UserRows, users: Iterable[str]) -> list[str]:
    """Those of the users of whom nothing is known: no row, no older version, no earlier erasure."""
    listed = forgotten(rows.lake, rows.customer.name)
    digests = listed.users if listed else frozenset()
    new = [user for user in users if digest(rows.key, "user", user) not in digests]
    unknown = [user for user in new if not rows.traces(user).is_known]
    return [user for user in unknown if not _is_in_files(rows, user)] if unknown else []


def _is_in_files(rows: UserRows, user: str) -> bool:
    """Whether a user stands in any file of a table, be it one that the newest version does not name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known_as = pa.array(map(normal, rows.known_as(user)), pa.string())
    for data in _files(rows):
        # Engines write texts as views, which Arrow does not filter.
        ids = data.to_table(columns={USER: pc.field(USER).cast("string")}).column(USER).unique()
        # Older versions landed ids as they came: those that are not plain are held to their normal form.
        trimmed = pc.utf8_trim(ids, characters=BLANKS)
        may_be = ids.filter(pc.or_(pc.is_in(trimmed, value_set=known_as), pc.invert(pc.string_is_ascii(ids))))
        if any(normal(spelling) in known_as.to_pylist() for spelling in may_be.to_pylist() if spelling):
            return True
    return False


def _files(rows: UserRows) -> Iterator[ds.Dataset]:
    import pyarrow.dataset as ds

    for name, columns in rows.tables().items():
        path = rows.lake.path(rows.customer.name, name)
        store, _ = opened(path)
        below = [info.path for info in files_below(path) if info.path.endswith(".parquet")]
        for file in below if USER in columns else ():
            data = ds.dataset(file, filesystem=store, format="parquet")
            if f"/{LOG}/" not in file and USER in data.schema.names:
                yield data
