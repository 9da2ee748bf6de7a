"""What tells whether a customer's tables have changed since they were published, without opening one of them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from capflow_assets.deployment import Deployment
from capflow_assets.serving.converted import CONVERTED
from capflow_assets.stores.answer_store import FOLDER, AnswerStore
from capflow_assets.stores.lake_marks import MARK, MARKED_STAGES
from capflow_assets.stores.places import is_remote, opened

if TYPE_CHECKING:
    from datetime import datetime

    from pyarrow import fs

# Each version of a table is a file more in there.
LOG = "_delta_log"
# Tables in a bucket are listed so often, whatever their mark says: who wrote may have been killed before leaving it.
LIST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Sign:
    """The state of a customer: of what answers are made of (``source``), and of the ``store`` that has them."""

    source: Any
    store: Any


@dataclass(slots=True)
class _Listing:
    """The tables of a customer in a bucket as they were listed, when that was, and the mark's time before."""

    mark: datetime | None
    is_settled: bool
    listed_at: float
    versions: str


@dataclass(slots=True)
class LakeSigns:
    """Looks at customers of one lake; for one thread.

    In a bucket the mark beside a customer's tables is read, and they are listed where it has changed.
    """

    deployment: Deployment
    _bucket: tuple[fs.FileSystem, str] | None = None
    _listings: dict[str, _Listing] = field(default_factory=dict)

    def of(self, customer: str, champions: Any = (), held: Any = ()) -> Sign:
        """The state now. ``champions`` read columns of the tables; ``held`` is what a store elsewhere has of them.

        Of the embedded store the files are looked at.
        """
        home = self.deployment.home.root
        tables = self._remote(customer) if is_remote(self.deployment.lake.root) else self._local(customer)
        folder = f"{home}/{FOLDER}/{customer}"
        files = sorted(entry.path for place in (folder, f"{folder}/{CONVERTED}") for entry in _entries(place))
        return Sign((_changed(f"{home}/customers/{customer}.toml"), champions, tables), (files, held))

    def is_lost(self, customer: str, held: Any = ()) -> bool:
        """Whether something of a customer's store is gone that its pointer names; ``held`` is None where it is."""
        store = AnswerStore.of(self.deployment.home, customer)
        return held is None or not all(store.path(table).exists() for table in store.tables().values())

    def _local(self, customer: str) -> dict[str, int | None]:
        prefix = self.deployment.lake.prefix(customer)
        return {
            table.path: _changed(f"{table.path}/{LOG}")
            for stage in MARKED_STAGES
            for table in _entries(f"{prefix}/{stage}")
        }

    def _remote(self, customer: str) -> str | None:
        """A digest of the names of all versions; that of the last look where the bucket is not reached."""
        known = self._listings.get(customer)
        try:
            mark = self._mark(customer)
            is_old = known is None or time.monotonic() - known.listed_at >= LIST_SECONDS
            if known is not None and known.mark == mark and known.is_settled and not is_old:
                return known.versions
            # A bucket knows whole seconds: a second mark within one looks like the first, so the tables are listed once
            # more. Tables of a release that leaves no marks are listed each time.
            is_settled = mark is not None and known is not None and known.mark == mark
            known = _Listing(mark, is_settled, time.monotonic(), self._versions(customer))
            self._listings[customer] = known
        except OSError:
            return None if known is None else known.versions
        return known.versions

    def _mark(self, customer: str) -> datetime | None:
        """When the mark was left; None where there is none."""
        from pyarrow import fs

        store, prefix = self._place(customer)
        info = store.get_file_info(f"{prefix}/{MARK}")
        modified: datetime | None = None if info.type == fs.FileType.NotFound else info.mtime
        return modified

    def _versions(self, customer: str) -> str:
        from pyarrow import fs

        store, prefix = self._place(customer)
        selectors = [
            fs.FileSelector(f"{prefix}/{stage}", recursive=True, allow_not_found=True) for stage in MARKED_STAGES
        ]
        infos = [info for selector in selectors for info in store.get_file_info(selector)]
        paths = sorted(info.path for info in infos if f"/{LOG}/" in info.path)
        return sha256("\n".join(paths).encode()).hexdigest()

    def _place(self, customer: str) -> tuple[fs.FileSystem, str]:
        """The bucket, opened once, and where a customer lies there."""
        root = self.deployment.lake.root
        if self._bucket is None:
            self._bucket = opened(root)
        return self._bucket[0], f"{self._bucket[1]}{self.deployment.lake.prefix(customer).removeprefix(root)}"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        return list(entries)
    return []


def _changed(path: str) -> int | None:
    with suppress(OSError):
        return os.stat(path).st_mtime_ns  # noqa: PTH116  (thousands of them each minute)
    return None
