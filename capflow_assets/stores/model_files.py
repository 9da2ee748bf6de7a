"""The files of model versions: below the lake by relative path, never by an address that another store remembers.

    {lake}/{customer}/mlflow/{model}/{run}/artifacts/model/model.skops
                                                     report/report.json, reference.json, *.png

A home that was copied or moved finds its own files, and a copy cannot reach those of the original. MLflow shows them
under addresses of the scheme ``capflow-lake``, see ``lake_artifacts``. Whoever may write a customer's prefix may change
files there, so what is read is held against the digest that MLflow's store keeps.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from capflow_assets.errors import BrokenModelError, CapflowError
from capflow_assets.stores.places import is_remote, opened

if TYPE_CHECKING:
    from pyarrow import fs

SCHEME = "capflow-lake"
SEGMENT = re.compile(r"[\w][\w.\-]*")
MODEL = "model/model.skops"
REPORT = "report"
# Larger files are not read: an endless file in one customer's prefix would end the process for all customers.
LARGEST_BYTES = 2 << 30


def digest(content: bytes) -> str:
    """The SHA-256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def below(*parts: str) -> str:
    """A path below the lake, of parts that can name nothing else.

    >>> below("acme", "mlflow/churn")
    'acme/mlflow/churn'

    Raises:
        CapflowError: a part would lead elsewhere.
    """
    path = "/".join(parts)
    if not all(SEGMENT.fullmatch(part) for part in path.split("/")):
        raise CapflowError("That is no path below the lake", expected="names between slashes", came=repr(path))
    return path


def run_folder(customer: str, model: str, run: str) -> str:
    """Where the files of an MLflow run lie, below the lake."""
    return below(customer, "mlflow", model, run, "artifacts")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Read and write files of models below one lake, a folder or ``s3://…``."""

    lake: str

    def write(self, folder: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write files into a folder below the lake and give their digests.

        Raises:
            CapflowError: one is larger than ``read`` would read.
        """
        for name, content in files.items():
            if len(content) > LARGEST_BYTES:
                what, expected = "A file of a model is too large", f"at most {LARGEST_BYTES:,} bytes"
                raise CapflowError(what, expected=expected, came=f"{len(content):,} bytes", where=name)
            store, path = self._opened(below(folder, name))
            if not is_remote(self.lake):  # a bucket has no folders, and would keep empty marks of them
                store.create_dir(path.rsplit("/", 1)[0], recursive=True)
            with store.open_output_stream(path) as stream:
                stream.write(content)
        return {name: digest(content) for name, content in files.items()}

    def read(self, path: str, sha256: str | None = None, most_bytes: int = LARGEST_BYTES) -> bytes:
        """The bytes of one file.

        Raises:
            BrokenModelError: the file is missing, is no file of a model, has more than ``most_bytes``, of which nothing
                is read then, or has another digest than ``sha256``.
        """
        where = f"{self.lake}/{path}"
        try:
            content = (self._remote if is_remote(self.lake) else self._local)(path, where, most_bytes)
        except FileNotFoundError:
            raise BrokenModelError("A file of a model is missing", where=where) from None
        except OSError as error:
            if is_remote(self.lake):  # a store that does not answer says nothing of the file
                raise
            raise BrokenModelError("A file of a model cannot be read", came=str(error), where=where) from error
        if sha256 is not None and digest(content) != sha256:
            raise BrokenModelError(
                "A file of a model is not the one that was registered; nothing of it was loaded",
                expected=f"sha256 {sha256}, as MLflow keeps it",
                came=f"sha256 {digest(content)}, {len(content):,} bytes",
                where=where,
            )
        return content

    def _local(self, path: str, where: str, most_bytes: int) -> bytes:
        """A file of this machine, without Arrow: servers read many, and need nothing else of it."""
        place = self._place(below(path))
        state = place.stat()
        if not stat.S_ISREG(state.st_mode):
            raise BrokenModelError("That is no file", where=where)  # a pipe would be waited for without end
        _require_size(state.st_size, most_bytes, where)
        with place.open("rb") as stream:
            return stream.read(state.st_size)

    def _remote(self, path: str, where: str, most_bytes: int) -> bytes:
        store, place = self._opened(below(path))
        with store.open_input_file(place) as stream:
            size = stream.size()
            _require_size(size, most_bytes, where)
            return bytes(stream.read(size))

    def _opened(self, path: str) -> tuple[fs.FileSystem, str]:
        """The file system and the path there.

        Raises:
            BrokenModelError: a symbolic link leads elsewhere.
        """
        from pyarrow import fs

        if is_remote(self.lake):
            return opened(f"{self.lake}/{path}")
        return fs.LocalFileSystem(), str(self._place(path))

    def _place(self, path: str) -> Path:
        place = Path(self.lake).resolve() / path
        if place.resolve() != place:
            raise BrokenModelError(
                "A file of a model lies behind a symbolic link; it is neither read nor written",
                came=str(place.resolve()),
                where=str(place),
                do="put the files themselves there (a mount does, where another disk is meant)",
            )
        return place


def _require_size(size: int, most_bytes: int, where: str) -> None:
    if size <= most_bytes:
        return
    what = "A file of a model is larger than any that is written here; nothing of it was read"
    if most_bytes < LARGEST_BYTES:
        what = f"A file of a model has more than the {most_bytes:,} bytes that are read here; nothing of it was read"
    raise BrokenModelError(what, expected=f"at most {most_bytes:,} bytes", came=f"{size:,} bytes", where=where)
