"""The records of JSON files as text, some megabytes at a time: a line each, or cut out of a document."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import IO, NamedTuple

from capflow_assets.sources.json.document_stream import (
    MOST_RECORD_BYTES,
    READ_CHARACTERS,
    Document,
    read_text,
    too_long,
)
from capflow_assets.sources.reading import packed_files, storage, text_encodings
from capflow_assets.sources.reading.arrow_frames import WHOLE_FILE
from capflow_assets.sources.reading.text_encodings import SPLITTABLE

# Each is UTF-8 and comes with its number in the file or part.
Records = list[tuple[int, bytes]]

BLOCK_BYTES = 8 << 20
# Begins what is said of a record in the place of its text; no JSON does.
UNDECODABLE = b"\xff"


class Form(NamedTuple):
    """How the text of a file is written, and what bytes that are none of it do: refuse the file, or their record."""

    encoding: str
    undecodable: str = "refuse"


class Chunk(NamedTuple):
    """Some records, and the number of lines that they come from, blank ones included."""

    records: Records
    lines: int = 0


def is_splittable(path: str, encoding: str) -> bool:
    """Whether parts of a file of lines can be read apart."""
    return not packed_files.is_packed(path) and encoding.startswith(SPLITTABLE)


def is_document(path: str, encoding: str) -> bool:
    """Whether a file is a document rather than lines: an array, or an object that goes over several lines."""
    with _text_of(path, encoding, "\n") as text:
        start = read_text(text, READ_CHARACTERS, packed_files.shown(path)).removeprefix("\ufeff").lstrip()
    first, _, rest = start.partition("\n")
    # A broken line, too, is no JSON; after it comes another record.
    goes_on = bool(rest.strip()) and not rest.lstrip().startswith("{")
    return start.startswith("[") or (start.startswith("{") and goes_on and not _is_whole(first))


def lines_of(path: str, start: int, stop: int, form: Form) -> Iterator[Chunk]:
    """The lines of one part of one file that are not blank, numbered from 1 in the part, blank ones counted.

    Raises:
        SourceError: one holds bytes that are no text in the encoding, and these refuse the file.
    """
    number = 1
    where = packed_files.shown(path) + (f", behind byte {start:,}" if start else "")
    for block, is_spoilt in _blocks(path, start, stop, form.encoding):
        lines = block.split(b"\n")
        numbered = ((at, line.strip(b" \t\r")) for at, line in enumerate(lines, number))
        if is_spoilt:
            numbered = ((at, _told(line, form, f"{where}:{at}")) for at, line in numbered)
        yield Chunk([(at, line) for at, line in numbered if line], len(lines) - 1)
        number += len(lines) - 1


def records_of(path: str, records: str, form: Form) -> Iterator[Chunk]:
    """The records of one document, numbered from 0.

    Raises:
        SourceError: it breaks off, is no JSON outside of its records, or has none at ``records``; one holds bytes that
            are no text in the encoding, and these refuse the file.
    """
    some: Records = []
    size = 0
    where = packed_files.shown(path)
    with _text_of(path, form.encoding, "") as text:
        for number, record in enumerate(Document(text, where).records(records)):
            written = _as_utf8(record)
            if text_encodings.is_spoilt(record):
                written = _told(written, form, f"{where}[{number}]")
            some.append((number, written))
            size += len(record)
            if size > BLOCK_BYTES:
                yield Chunk(some)
                some, size = [], 0
    yield Chunk(some)


def _blocks(path: str, start: int, stop: int, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """Whole lines of the part of a file in which they begin, as UTF-8, some megabytes at a time.

    With each comes whether bytes in it may be no text of the encoding.
    """
    if is_splittable(path, encoding):
        with storage.open_file(path) as file, io.BufferedReader(file) as stream:
            stop = file.size() if stop == WHOLE_FILE else stop
            if start:
                stream.seek(start - 1)
                _line(stream, path)
            elif stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            while stream.tell() < stop:
                block = stream.read(min(BLOCK_BYTES, stop - stream.tell()))
                whole = block if block.endswith(b"\n") else block + _line(stream, path)
                yield (
                    (whole, False) if _is_utf8(whole, encoding) else _plain(whole.decode(encoding, text_encodings.KEPT))
                )
        return
    with _text_of(path, encoding, "\n") as text:
        left = ""
        while read := read_text(text, BLOCK_BYTES, packed_files.shown(path)):
            lines, end, left = (left + read).removeprefix("\ufeff").rpartition("\n")
            if len(left) > MOST_RECORD_BYTES:
                raise too_long("line", packed_files.shown(path))
            if end:
                yield _plain(lines + end)
        if left:
            yield _plain(left)


def _plain(text: str) -> tuple[bytes, bool]:
    return _as_utf8(text), text_encodings.is_spoilt(text)


def _text_of(path: str, encoding: str, newline: str) -> IO[str]:
    return io.TextIOWrapper(packed_files.open_stream(path), encoding, text_encodings.KEPT, newline=newline)


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


def _as_utf8(text: str) -> bytes:
    """Text as UTF-8; what was no text of the encoding is none of UTF-8 either."""
    return text.encode("utf-8", "surrogatepass")


def _told(record: bytes, form: Form, where: str) -> bytes:
    """A record that holds bytes which are no text in the encoding: marked, so that its row can say so.

    Raises:
        SourceError: such records refuse the file.
    """
    text = record.decode("utf-8", "surrogatepass")
    if not text_encodings.is_spoilt(text):
        return record
    if form.undecodable == "refuse":
        raise text_encodings.refusal(text, form.encoding, where)
    return UNDECODABLE + text_encodings.complaint(text, form.encoding).encode()


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
