"""The files of a customer's models that still hold an id, whatever their size or damage."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from capflow_assets.stores.places import files_below, opened

CHUNK_BYTES = 1 << 20
# The most that a packed file may hold per byte of its own, and in all, before it counts as a decompression bomb.
MOST_TIMES, MOST_BYTES = 1_000, 1 << 32
SMALLEST_ZIP_BYTES = 22
# What unpacking arbitrary bytes may raise.
UNPACKING = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Search:
    """The files that hold an id, and those that could not be looked into, by their paths below ``mlflow``."""

    holding: tuple[str, ...]
    unread: tuple[str, ...]


def search(prefix: str, user: str) -> Search:
    """Look for an id in the files of models below a customer's prefix, as text, as JSON and as numpy keeps it."""
    signs = tuple({user.encode(), json.dumps(user)[1:-1].encode(), user.encode("utf-32-le")})
    store, _ = opened(prefix)
    holding, unread = [], []
    for info in files_below(f"{prefix}/mlflow"):
        name = info.path.rsplit("/mlflow/", 1)[1]
        try:
            with store.open_input_file(info.path) as stream:
                if _stands_in(stream, signs):
                    holding.append(name)
        except UNPACKING:
            unread.append(name)
    return Search(tuple(holding), tuple(unread))


def _stands_in(stream: IO[bytes], signs: tuple[bytes, ...]) -> bool:
    if _is_among(_chunks(stream), signs):
        return True
    packed = stream.seek(0, io.SEEK_END)
    if packed < SMALLEST_ZIP_BYTES or not zipfile.is_zipfile(stream):
        return False
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > min(MOST_BYTES, MOST_TIMES * packed):
            raise ValueError(f"{unpacked:,} bytes in {packed:,}")
        for entry in entries:
            with archive.open(entry) as file:
                if _is_among(_chunks(file), signs):
                    return True
    return False


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(CHUNK_BYTES), b"")


def _is_among(chunks: Iterable[bytes], signs: tuple[bytes, ...]) -> bool:
    before, longest = b"", max(map(len, signs))
    for chunk in chunks:
        part = before + chunk
        if any(sign in part for sign in signs):
            return True
        before = part[-(longest - 1) :] if longest > 1 else b""
    return False
