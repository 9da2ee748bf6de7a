"""Whole lines of a text file, some megabytes at a time: of any stretch of a plain one, and of a packed one as a stream.

Here a line ends in ``\\n``, whatever stands before it; nothing is decoded.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from capflow_assets.sources.csv.text_rows import MOST_CHARACTERS, endless
from capflow_assets.sources.reading import packed_files, storage
from capflow_assets.sources.reading.arrow_frames import WHOLE_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.csv.file_layout import Layout

BLOCK_BYTES = 8 << 20
LINE_BYTES = 1 << 16
LINE_END = ord("\n")
FIRST_BEYOND_ASCII = 0x80
# The lines, the byte at which the part begins, the number of the first line from there, and how many lines there are.
Block = tuple["pa.Buffer", int, int, int]


def blocks_of(path: str, start: int, stop: int, layout: Layout) -> Iterator[Block]:
    """Whole lines of the part of a file in which they begin, without those down to the header."""
    return _streamed(path, layout) if packed_files.is_packed(path) else _placed(path, start, stop, layout)


def _placed(path: str, start: int, stop: int, layout: Layout) -> Iterator[Block]:
    import pyarrow as pa

    with storage.open_file(path) as file:
        stop = file.size() if stop == WHOLE_FILE else stop
        at, number = (_after_line(file, start - 1), 1) if start else _after_head(file, layout, path)
        before = at
        while at < stop:
            block = _buffer(file, at, min(BLOCK_BYTES, stop - at))
            end = _end_of_lines(block)
            if not end or (at + block.size == stop and end < block.size):
                rest = _after_line(file, at + block.size) - at - block.size
                block = pa.py_buffer(b"".join((block, _buffer(file, at + block.size, rest))))
                end = block.size
            whole = block.slice(0, end)
            ends = count(whole, b"\n")
            lines = ends + (_end_of_lines(whole) < end)
            yield whole, before, number, lines
            at, number = at + end, number + ends


def _streamed(path: str, layout: Layout) -> Iterator[Block]:
    import pyarrow as pa

    with packed_files.open_stream(path) as stream:
        number = _skip_head(stream, layout, path)
        is_first = number == 1
        while block := stream.read(BLOCK_BYTES):
            if not block.endswith(b"\n"):
                block += _line(stream, path, len(block) - block.rfind(b"\n") - 1)
            whole = block.removeprefix(codecs.BOM_UTF8) if is_first else block
            ends, is_first = whole.count(b"\n"), False
            yield pa.py_buffer(whole), 0, number, ends + (not whole.endswith(b"\n"))
            number += ends


def _skip_head(stream: Any, layout: Layout, path: str) -> int:
    """Go behind the header and what stands above it; the number of the next line."""
    for number in range(layout.head_lines):
        if not _line(stream, path):
            return number + 1
    return layout.head_lines + 1


def _line(stream: Any, path: str, before: int = 0) -> bytes:
    """The next line, of which so many bytes were read ``before``."""
    line: bytes = stream.readline(MOST_CHARACTERS - before)
    if len(line) == MOST_CHARACTERS - before:
        raise endless(path)
    return line


def _buffer(file: pa.NativeFile, at: int, size: int) -> pa.Buffer:
    """Some bytes of a file, in memory that pyarrow uses over and over; bytes of Python's are new, and twice as slow."""
    file.seek(at)
    return file.read_buffer(size)


def _after_head(file: pa.NativeFile, layout: Layout, path: str) -> tuple[int, int]:
    """Where the data rows of a file begin, and on which line."""
    stream = io.BufferedReader(file)
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
    number = _skip_head(stream, layout, path)
    at = stream.tell()
    stream.detach()  # or the file is closed with it
    return at, number


def _after_line(file: pa.NativeFile, at: int) -> int:
    """Where the line ends that goes on at a byte of a file: behind the next line's end, or at the end of the file."""
    file.seek(at)
    while block := file.read(LINE_BYTES):
        end = block.find(b"\n") + 1
        if end:
            return at + end
        at += len(block)
    return at


def _end_of_lines(block: pa.Buffer) -> int:
    """Where the last whole line of a block ends; 0 where there is none."""
    import numpy as np

    bytes_of = np.frombuffer(block, np.uint8)
    size = LINE_BYTES
    while True:
        begin = max(len(bytes_of) - size, 0)
        ends = np.flatnonzero(bytes_of[begin:] == LINE_END)
        if len(ends) or not begin:
            return begin + int(ends[-1]) + 1 if len(ends) else 0
        size *= 8


def is_ascii(block: pa.Buffer) -> bool:
    """Whether all signs of a block are of ASCII."""
    import numpy as np

    return not block.size or int(np.frombuffer(block, np.uint8).max()) < FIRST_BEYOND_ASCII


def count(block: pa.Buffer, character: bytes) -> int:
    """How often a character of one byte stands in a block."""
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == character[0]))
