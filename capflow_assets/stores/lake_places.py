"""Where what belongs to a customer lies below a lake's root, and the small files there; no table is read here.

One prefix per customer is what keeps tenants apart, so every path is built here and from checked names only, and a
link below the lake is followed by nobody: whoever may write a prefix, or has copied one, would lead us to another's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from capflow_assets.errors import CapflowError, TableError
from capflow_assets.stores.places import is_remote, opened

CUSTOMER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TABLE = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class LakePlaces:
    """The places below a lake's root."""

    root: str

    def prefix(self, customer: str) -> str:
        """Everything of one customer lies below this."""
        if not CUSTOMER.fullmatch(customer):
            raise CapflowError("That is no customer name", expected=CUSTOMER.pattern, came=repr(customer))
        return f"{self.root}/{customer}"

    def path(self, customer: str, table: str) -> str:
        """Where a table lies; ``table`` is ``stage/name``."""
        if not TABLE.fullmatch(table):
            raise CapflowError("That is no table name", expected="stage/table", came=repr(table))
        return self.in_place(f"{self.prefix(customer)}/{table}")

    def in_place(self, path: str) -> str:
        """A path below the lake, as it is.

        Raises:
            TableError: a symbolic link leads elsewhere.
        """
        if is_remote(self.root):
            return path
        place = f"{os.path.realpath(self.root)}{path.removeprefix(self.root)}"
        if (there := os.path.realpath(place)) != place:
            raise TableError(
                "A symbolic link below the lake leads elsewhere; what it leads to is neither read nor written",
                came=there,
                where=path,
                do="put the files themselves there (a mount does, where another disk is meant)",
            )
        return path

    def tables(self, customer: str) -> list[str]:
        """The names of a customer's tables."""
        from pyarrow import fs

        store, folder = opened(self.prefix(customer))
        selector = fs.FileSelector(folder, recursive=True, allow_not_found=True)
        below = [info.path.removeprefix(folder).strip("/") for info in store.get_file_info(selector)]
        names = [path.removesuffix("/_delta_log") for path in below if path.endswith("/_delta_log")]
        # What lies deeper lies behind a link, and is another's.
        return sorted(name for name in names if TABLE.fullmatch(name))

    def read_bytes(self, customer: str, name: str, largest: int | None = None) -> bytes | None:
        """A small file that ``save_bytes`` kept; None where there is none, or one of more bytes than ``largest``."""
        from pyarrow import fs

        store, path = opened(self.in_place(f"{self.prefix(customer)}/{name}"))
        info = store.get_file_info(path)
        if info.type != fs.FileType.File or (largest is not None and info.size > largest):
            return None
        with store.open_input_stream(path) as stream:
            return bytes(stream.read())

    def save_bytes(self, customer: str, name: str, content: bytes) -> str:
        """Keep a small file (a plot, a page) below the customer's prefix and give its place."""
        place = self.in_place(f"{self.prefix(customer)}/{name}")
        store, path = opened(place)
        if not is_remote(place):  # a bucket has no folders, and would keep empty marks of them
            store.create_dir(path.rsplit("/", 1)[0], recursive=True)
        with store.open_output_stream(path) as stream:
            stream.write(content)
        return place

    def remove_file(self, customer: str, name: str) -> None:
        """Remove a file that ``save_bytes`` kept, if there is one."""
        from pyarrow import fs

        store, path = opened(self.in_place(f"{self.prefix(customer)}/{name}"))
        if store.get_file_info(path).type == fs.FileType.File:
            store.delete_file(path)
