"""The records of JSON files as text, some megabytes at a time: a line each, or cut out of a document."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from capflow_assets.sources import _files
from capflow_assets.sources._json_document import MOST_RECORD_BYTES, READ_CHARACTERS, Document, read_text, too_long
from capflow_assets.sources._lines import PACKED, SPLITTABLE, WHOLE_FILE

if TYPE_CHECKING:
    import pyarrow as pa

# Each is UTF-8 and comes with its number in the file or part.
Records = list[tuple[int, bytes]]

BLOCK_BYTES = 8 << 20


class Chunk(NamedTuple):
    """Some records, and the number of lines that they come from, blank ones included."""

    records: Records
    lines: int = 0


def is_splittable(path: str, encoding: str) -> bool:
    """Whether parts of a file of lines can be read apart."""
    return not path.endswith(PACKED) and encoding.startswith(SPLITTABLE)


def is_document(path: str, encoding: str) -> bool:
    """Whether a file is a document rather than lines: an array, or an object that goes over several lines."""
    with _opened(path) as stream, io.TextIOWrapper(stream, encoding, "replace") as text:
        start = read_text(text, READ_CHARACTERS, path).removeprefix("\ufeff").lstrip()
    first, _, rest = start.partition("\n")
    # A broken line, too, is no JSON; after it comes another record.
    goes_on = bool(rest.strip()) and not rest.lstrip().startswith("{")
    return start.startswith("[") or (start.startswith("{") and goes_on and not _is_whole(first))


def lines_of(path: str, start: int, stop: int, encoding: str) -> Iterator[Chunk]:
    """The lines of one part of one file that are not blank, numbered from 1 in the part, blank ones counted."""
    number = 1
    for block in _blocks(path, start, stop, encoding):
        lines = block.split(b"\n")
        numbered = ((at, line.strip(b" \t\r")) for at, line in enumerate(lines, number))
        yield Chunk([(at, line) for at, line in numbered if line], len(lines) - 1)
        number += len(lines) - 1


def records_of(path: str, records: str, encoding: str) -> Iterator[Chunk]:
    """The records of one document, numbered from 0.

    Raises:
        SourceError: it breaks off, is no JSON outside of its records, or has none at ``records``.
    """
    some: Records = []
    size = 0
    with _opened(path) as stream, io.TextIOWrapper(stream, encoding, "replace", newline="") as text:
        for number, record in enumerate(Document(text, path).records(records)):
            some.append((number, record.encode()))
            size += len(record)
            if size > BLOCK_BYTES:
                yield Chunk(some)
                some, size = [], 0
    yield Chunk(some)


def _blocks(path: str, start: int, stop: int, encoding: str) -> Iterator[bytes]:
    """Whole lines of the part of a file in which they begin, as UTF-8, some megabytes at a time."""
    if is_splittable(path, encoding):
        with _files.open_file(path) as file, io.BufferedReader(file) as stream:
            stop = file.size() if stop == WHOLE_FILE else stop
            if start:
                stream.seek(start - 1)
                _line(stream, path)
            elif stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            while stream.tell() < stop:
                block = stream.read(min(BLOCK_BYTES, stop - stream.tell()))
                whole = block if block.endswith(b"\n") else block + _line(stream, path)
                yield whole if _is_utf8(whole, encoding) else whole.decode(encoding, "replace").encode()
        return
    with _opened(path) as packed, io.TextIOWrapper(packed, encoding, "replace", newline="\n") as text:
        left = ""
        while read := read_text(text, BLOCK_BYTES, path):
            lines, end, left = (left + read).removeprefix("\ufeff").rpartition("\n")
            if len(left) > MOST_RECORD_BYTES:
                raise too_long("line", path)
            if end:
                yield (lines + end).encode()
        if left:
            yield left.encode()


def _is_utf8(block: bytes, encoding: str) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return encoding == "utf-8" or block.isascii()


def _line(stream: io.BufferedReader, path: str) -> bytes:
    line = stream.readline(MOST_RECORD_BYTES)
    if len(line) == MOST_RECORD_BYTES:
        raise too_long("line", path)
    return line


def _opened(path: str) -> pa.NativeFile:
    return _files.open_stream(path)


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
