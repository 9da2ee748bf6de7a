"""Packed files, told by their first bytes whatever they are called: gzip, bzip2, xz, zstd, lz4, and zip of any members.

A packed file is read as a stream: it is never unpacked to a disk, nor held as a whole. The address of what is in it is
the real path, and behind a NUL, which is in no path, each way of packing: ``/in/a.zip␀zip:bills.csv␀gzip``. A file that
unpacks to some hundred times its size is refused: no export does, and it would go on for hours.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError, listed
from capflow_assets.sources.reading import storage
from capflow_assets.sources.reading.storage import StoredFile

if TYPE_CHECKING:
    import pyarrow as pa

BEHIND = "\0"
ZIP = "zip:"
HEAD_BYTES = 512
BUFFER_BYTES = 1 << 20
THREADS = 16
# What exports unpack to is at most some fifty times their size; deflate ends at 1,032 times.
MOST_TIMES = 400
FREE_BYTES = 256 << 20
MOST_MEMBERS = 1_000
ENCRYPTED = 0x1
NO_MEMBERS = b"PK\x05\x06"
MARKS = {
    b"\x1f\x8b\x08": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    NO_MEMBERS: "zip",
    b"PK\x07\x08": "zip",
}
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
REPACK = "send it plain, or packed as zip, gzip, bzip2, xz or zstd"
# What no text begins with, and what to do about it.
STRANGERS = {
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", REPACK),
    b"Rar!\x1a\x07": ("a RAR archive", REPACK),
    b"\x1f\x9d": ("a file packed by compress (.Z)", REPACK),
    b"\xd0\xcf\x11\xe0": ("an .xls workbook", 'say source = "excel"'),
    b"PAR1": ("a Parquet file", 'say source = "parquet"'),
    b"SQLite format 3\x00": ("a SQLite database", 'say source = "sql"'),
    b"%PDF-": ("a PDF document", "export the rows as CSV"),
}
DAMAGES = (
    zipfile.BadZipFile, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError,
    OSError, ValueError,
)  # fmt: skip


def is_packed(path: str) -> bool:
    """Whether an address is that of something packed: it can only be read from its start."""
    return BEHIND in path


def packing(head: bytes) -> str:
    """The way of packing that a file's first bytes tell; blank where it is not packed.

    >>> packing(gzip.compress(b"a,b")), packing(b"a,b\\n1,2"), packing(b"BZh9 begins a text")
    ('gzip', '', '')
    """
    if head.startswith(b"BZh") and head[3:4] in b"123456789" and head[4:10] in BZIP2_BLOCKS:
        return "bz2"
    return next((kind for mark, kind in MARKS.items() if head.startswith(mark)), "")


def files_of(location: str, members: str = "", *, of_text: bool = True) -> list[StoredFile]:
    """The files that ``location`` means, a packed one with the address of what is in it, a zip's members one by one.

    Of a zip's ``members`` those that fit the pattern; not those of folders such as ``__MACOSX``, nor hidden ones. Files
    without a byte are left out. What is no text where text is wanted is refused; without ``of_text`` a workbook, which
    is a zip by itself, is left as it is.

    Raises:
        SourceError: as ``stored_files``; a file is damaged, encrypted, or packed in a way that is not read.
    """
    from concurrent.futures import ThreadPoolExecutor

    files = [file for file in storage.stored_files(location) if file.size_bytes]
    with ThreadPoolExecutor(THREADS) as pool:
        heads = pool.map(lambda file: _head(file.path), files)
        return [
            stored_file
            for file, head in zip(files, heads, strict=True)
            for stored_file in _within(file, head, members, of_text)
        ]


def open_stream(path: str) -> io.BufferedReader:
    """The bytes of one file, or of what is packed in it, from the start; damages of packed ones are told in words."""
    real, *ways = path.split(BEHIND)
    file = storage.open_file(real)
    if not ways:
        return io.BufferedReader(file, BUFFER_BYTES)
    try:
        with _in_words(real):
            return io.BufferedReader(_Unpacked(file, ways, real), BUFFER_BYTES)
    except BaseException:
        file.close()
        raise


def shown(path: str) -> str:
    """An address as people know it.

    >>> shown("/in/a.zip\\0zip:deep/bills.csv\\0gzip")
    '/in/a.zip!deep/bills.csv'
    """
    real, *ways = path.split(BEHIND)
    return "!".join([real, *(way.removeprefix(ZIP) for way in ways if way.startswith(ZIP))])


class _Unpacked(io.RawIOBase):
    """What is packed in a file, as a stream that knows when it has become too much."""

    def __init__(self, file: pa.NativeFile, ways: Sequence[str], where: str) -> None:
        self._where, self._came = where, 0
        self._packed_bytes = file.size()
        self._streams: list[Any] = [file]
        for way in ways:
            self._streams.append(self._opened(self._streams[-1], way))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _in_words(self._where):
            data = self._streams[-1].read(len(buffer))
        self._came += len(data)
        if self._came > max(FREE_BYTES, MOST_TIMES * self._packed_bytes):
            raise _bomb(self._where, self._packed_bytes, f"more than {self._came:,} bytes")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        # A part of a stream is closed as well as the whole of it.
        for stream in reversed(getattr(self, "_streams", ())):
            with suppress(*DAMAGES):
                stream.close()
        super().close()

    def _opened(self, stream: Any, way: str) -> Any:
        import pyarrow as pa

        if way.startswith(ZIP):
            archive = zipfile.ZipFile(stream)
            self._packed_bytes = archive.getinfo(way.removeprefix(ZIP)).compress_size
            return archive.open(way.removeprefix(ZIP))
        if way in ("zstd", "lz4"):
            return pa.CompressedInputStream(stream, way)
        opened: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}[way]
        return opened(stream, "rb")


def _head(path: str) -> bytes:
    with open_stream(path) as stream:
        return stream.read(HEAD_BYTES)


def _within(file: StoredFile, head: bytes, members: str, of_text: bool) -> Iterator[StoredFile]:
    way = packing(head)
    if head.startswith(NO_MEMBERS):
        _refuse_zip(file, (), (), members)
    elif way == "zip" and not of_text and not _is_zip(file.path):
        yield file  # a workbook that is damaged is told as such
    elif way == "zip":
        yield from _members(file, members, of_text)
    elif way:
        inner = replace(file, path=file.path + BEHIND + way, listed=file.named)
        yield _judged(inner, _head(inner.path), of_text)
    else:
        yield _judged(file, head, of_text)


def _judged(file: StoredFile, head: bytes, of_text: bool) -> StoredFile:
    """The file, unless its first bytes tell that it cannot be read."""
    strangers = {b"": ("", "")} if not of_text else STRANGERS
    is_tar = head[257:262] == b"ustar"
    received, do = next((said for mark, said in strangers.items() if mark and head.startswith(mark)), ("", ""))
    if is_tar:
        received, do = "a tar archive", REPACK
    elif is_packed(file.path) and packing(head):
        received, do = f"{packing(head)} within what was packed already", "pack it once: " + REPACK
    if received:
        raise _stranger(received, shown(file.path), do)
    return file


def _members(file: StoredFile, members: str, of_text: bool) -> Iterator[StoredFile]:
    with storage.open_file(file.path) as stream, _in_words(file.path), zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        if "xl/workbook.xml" in names:
            if of_text:
                raise _stranger("an Excel workbook", file.named, 'say source = "excel"')
            yield file
            return
        with_bytes = [
            entry for entry in entries if not entry.is_dir() and entry.file_size and not _is_hidden(entry.filename)
        ]
        chosen = [entry for entry in with_bytes if not members or _fits(entry.filename, members)]
        _refuse_zip(file, chosen, with_bytes, members)
        inner = [replace(file, path=f"{file.path}{BEHIND}{ZIP}{entry.filename}") for entry in chosen]
        heads = []
        for entry in chosen:
            with archive.open(entry) as member:
                heads.append(member.read(HEAD_BYTES))
    for entry, one, head in zip(chosen, inner, heads, strict=True):
        way = packing(head)
        if way == "zip":
            if not of_text and _is_workbook(one.path):
                way = ""
            else:
                received, do = f"{entry.filename}, a zip in a zip", "pack it once: " + REPACK
                raise SourceError("A packed file holds another", came=received, where=file.path, do=do)
        path = one.path + (BEHIND + way if way else "")
        stored_member = replace(one, path=path, size_bytes=entry.file_size, listed=file.named, member=entry.filename)
        yield _judged(stored_member, _head(path) if way else head, of_text)


def _is_zip(path: str) -> bool:
    with storage.open_file(path) as stream, suppress(*DAMAGES):
        zipfile.ZipFile(stream)
        return True
    return False


def _is_workbook(path: str) -> bool:
    with open_stream(path) as stream, suppress(zipfile.BadZipFile):
        return "xl/workbook.xml" in zipfile.ZipFile(io.BytesIO(stream.read(FREE_BYTES))).namelist()
    return False


def _refuse_zip(
    file: StoredFile, chosen: Sequence[zipfile.ZipInfo], kept: Sequence[zipfile.ZipInfo], members: str
) -> None:
    names = listed(repr(entry.filename) for entry in kept) or "none with a byte in it"
    if not chosen:
        expected = f"one that fits {members!r} (options.members)" if members else "at least one"
        raise SourceError("A zip has no member to be read", expected=expected, came=names, where=file.named)
    if len(chosen) > MOST_MEMBERS:
        expected, do = f"at most {MOST_MEMBERS:,} members", "options: members = '*.csv', say; or pack fewer into one"
        raise SourceError(
            "A zip has too many members", expected=expected, came=f"{len(chosen):,}", where=file.named, do=do
        )
    if locked := [entry.filename for entry in chosen if entry.flag_bits & ENCRYPTED]:
        do = "pack it without a password"
        raise SourceError("A zip is encrypted", came=listed(map(repr, locked)), where=file.named, do=do)
    unpacked = sum(entry.file_size for entry in chosen)
    if unpacked > max(FREE_BYTES, MOST_TIMES * file.size_bytes):
        raise _bomb(file.named, file.size_bytes, f"{unpacked:,} bytes")


def _is_hidden(name: str) -> bool:
    """Whether a member is none of the sender's: what macOS adds, and names that Spark leaves out as well."""
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in PurePosixPath(name).parts)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or ("/" not in pattern and fnmatchcase(PurePosixPath(name).name, pattern))


def _stranger(received: str, where: str, do: str) -> SourceError:
    return SourceError("A file is not of the kind that its table declares", came=received, where=where, do=do)


def _bomb(where: str, packed: int, received: str) -> SourceError:
    expected = f"at most {MOST_TIMES} times its {packed:,} bytes"
    do = "check what is in it; send it plain if it is sound"
    return SourceError("A packed file unpacks to too much", expected=expected, came=received, where=where, do=do)


@contextmanager
def _in_words(where: str) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except DAMAGES as error:
        received = str(error).strip().split("\n")[0][:200] or type(error).__name__
        do = "pack it again; it is damaged, was still being written, or is packed in a way that few programs read"
        raise SourceError("A packed file cannot be unpacked", came=received, where=where, do=do) from error
