"""Samples of delimited text: head, middle and end of a file; encoding, delimiter, header, banner, totals, null words.

No more than some megabytes are read, whatever the file's size; of a packed file, its beginning.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from capflow_assets.drafting.encodings import encoding_of
from capflow_assets.drafting.profiles import ISO, NULL_WORDS, PLAIN_NUMBER, Column
from capflow_assets.drafting.samples import Sample
from capflow_assets.errors import listed
from capflow_assets.landing import totals
from capflow_assets.sources.reading import packed_files, storage
from capflow_assets.sources.reading.arrow_frames import unique_names

HEAD_BYTES, MIDDLE_BYTES, END_BYTES = 1 << 20, 192 << 10, 96 << 10
MIDDLES = 4
WHOLE_BYTES = 4 << 20
DELIMITERS = (",", ";", "\t", "|", ":")
MOST_ABOVE, MOST_BELOW = 30, 10
JUDGED_LINES = 200
LONGEST_UNIT = 6
EXCELS_DELIMITER = "sep="


def text_sample(path: str, size: int, name: str) -> Sample | None:
    """The sample of one text file, by its address; None where its text is no table.

    ``location`` is left blank: it is of whoever asks.
    """
    pieces, is_whole = pieces_of(path, size)
    encoding = encoding_of(pieces)
    head, *others = [_text(piece, encoding) for piece in pieces]
    if "\0" in head:
        return None
    options: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if encoding != "utf-8":
        options["encoding"], reasons["encoding"] = encoding, "by its bytes"
    marked = head.lower().startswith((EXCELS_DELIMITER, f'"{EXCELS_DELIMITER}'))
    delimiter = head.strip('"')[len(EXCELS_DELIMITER)] if marked else delimiter_of(head)
    if delimiter != ",":
        options["delimiter"] = delimiter
    rows = list(_rows(head if is_whole else head[: head.rfind("\n") + 1], delimiter))
    place = 1 if marked else _header_place(rows)
    if place >= len(rows):
        return None
    header, body = rows[place], rows[place + 1 :]
    has_header = not _is_data(header, body)
    sample = Sample(name, "csv", "", (), (), options, reasons, is_whole=is_whole)
    if place and not marked and has_header:
        options["header_row"] = _line_of(head, delimiter, place)
        reasons["header_row"] = f"the lines above it: {' / '.join(filter(None, map(' '.join, rows[:place])))[:60]!r}"
    if not has_header:
        options |= {"header": False, "names": [f"column_{number}" for number in range(1, len(header) + 1)]}
        reasons["names"] = "no row of names"
        sample.questions.append(f"{name} has no row of names: write what its columns are into names")
        body = rows[place:]
    names = unique_names(header) if has_header else options["names"]
    if has_header and (twice := [title for title, count in Counter(header).items() if title and count > 1]):
        sample.questions.append(f"{name}: several columns are called {listed(map(repr, twice))}: which one is meant?")
    body = _without_units(body, sample) if has_header else body
    further = [row for text in others for row in _rows(_between_lines(text), delimiter)]
    below = _rows_below(further[-MOST_BELOW:] if further else body[-MOST_BELOW:], len(names))
    if below:
        options["skip_last"], reasons["skip_last"] = len(below), f"the last says {' '.join(below[-1])[:40]!r}"
        del (further if further else body)[-len(below) :]
    whole_rows = [row for row in (*body, *further) if len(row) == len(names)]
    sample.names = tuple(names)
    sample.rows = tuple(tuple(value.strip() or None for value in row) for row in whole_rows)
    broken = len(body) + len(further) - len(whole_rows)
    if broken > 0.02 * max(len(whole_rows), 1):
        sample.notes.append(f"{broken:,} rows of the sample have another number of values than {len(names)}")
    _look_at_quotes(sample, head, delimiter)
    _look_at_nulls(sample)
    share = sum(map(len, pieces)) / max(size, 1)
    sample.rows_total = len(whole_rows) if is_whole else round(len(whole_rows) / max(share, 1e-9))
    return sample


def pieces_of(path: str, size: int) -> tuple[list[bytes], bool]:
    """The head of a file, stretches of its middle and its end; and whether that is all of it."""
    if packed_files.is_packed(path):
        with packed_files.open_stream(path) as stream:
            content = stream.read(WHOLE_BYTES + 1)
        return [content[:WHOLE_BYTES]], len(content) <= WHOLE_BYTES
    with storage.open_file(path) as file:
        if size <= WHOLE_BYTES:
            return [file.read()], True
        pieces = [file.read(HEAD_BYTES)]
        for place in range(1, MIDDLES + 1):
            file.seek(size * place // (MIDDLES + 1))
            pieces.append(file.read(MIDDLE_BYTES))
        file.seek(size - END_BYTES)
        return [*pieces, file.read()], False


def delimiter_of(head: str) -> str:
    """The character between values: the one by which most lines have the same, and most, values.

    >>> delimiter_of("a;b;c\\n1,5;2;3\\n2,5;2;3\\n")
    ';'
    """
    lines = "".join(head.splitlines(keepends=True)[:JUDGED_LINES])
    scores = {}
    for delimiter in DELIMITERS:
        counts = Counter(len(row) for row in _rows(lines, delimiter) if row)
        width = max(counts, key=lambda width: (counts[width] * (width > 1), width), default=1)
        scores[delimiter] = (counts[width] / max(counts.total(), 1), width) if width > 1 else (0.0, 0)
    return max(DELIMITERS, key=lambda delimiter: (round(scores[delimiter][0], 1), scores[delimiter][1]))


def _text(piece: bytes, encoding: str) -> str:
    return piece.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def _between_lines(text: str) -> str:
    """What lies between the first and the last end of a line."""
    return text[text.find("\n") + 1 :] if "\n" in text else ""


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from (row for row in reader if row)
    except csv.Error:
        return


def _header_place(rows: Sequence[Sequence[str]]) -> int:
    """Which row names the columns: the first that is as wide as most rows are, and filled."""
    widths = Counter(len(row) for row in rows[:JUDGED_LINES])
    if not widths:
        return len(rows)
    width = widths.most_common(1)[0][0]
    for place, row in enumerate(rows[:MOST_ABOVE]):
        if len(row) == width and sum(bool(value.strip()) for value in row) >= max(1, 0.6 * width):
            return place
    return 0


def _is_data(header: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether what stands first is a row like the others: a number or a time in it, where others have them too."""
    alike = [PLAIN_NUMBER.fullmatch(value.strip()) or ISO.fullmatch(value.strip()) for value in header]
    if not any(alike) or not body:
        return False
    below = [row for row in body[:50] if len(row) == len(header)]
    for place, is_alike in enumerate(alike):
        column = Column("", tuple(row[place].strip() or None for row in below))
        if is_alike and column.kind in ("number", "time"):
            return True
    return False


def _without_units(body: list[list[str]], sample: Sample) -> list[list[str]]:
    if not _is_of_units(body):
        return body
    sample.notes.append(f"the row below the names is of units ({' '.join(filter(None, body[0]))}): it is rejected")
    return body[1:]


def _is_of_units(body: Sequence[Sequence[str]]) -> bool:
    """Whether the first row says units, ``Stk`` and ``EUR``: short words over columns of numbers, and blanks."""
    words = {place: value.strip() for place, value in enumerate(body[0]) if value.strip()} if body else {}
    below = [row for row in body[1:JUDGED_LINES] if len(row) == len(body[0])]
    if not below or len(words) > 0.7 * len(body[0]):
        return False
    are_words = all(len(word) <= LONGEST_UNIT and not any(map(str.isdigit, word)) for word in words.values())
    return bool(words) and are_words and all(any(map(str.isdigit, row[place])) for row in below[:20] for place in words)


def _line_of(head: str, delimiter: str, place: int) -> int:
    """The number of the line in which a row begins, blank lines counted."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    seen, before = -1, 0
    for row in reader:
        seen += bool(row)
        if seen == place:
            return before + 1
        before = reader.line_num
    return place + 1


def _rows_below(last: Sequence[Sequence[str]], width: int) -> list[Sequence[str]]:
    """The rows at the end that are none of the table: sums, or notes of a value or two."""
    below: list[Sequence[str]] = []
    usual = sorted(sum(bool(value.strip()) for value in row) for row in last)[len(last) // 2] if last else 0
    for row in reversed(last):
        filled = [value.strip() for value in row if value.strip()]
        is_total = bool(filled) and totals.is_word(filled[0])
        is_note = min(width, usual) > 3 and len(filled) <= 1
        if not (is_total or is_note):
            break
        below.insert(0, row)
    return below


def _look_at_quotes(sample: Sample, head: str, delimiter: str) -> None:
    del delimiter
    if any("\n" in value for row in sample.rows for value in row if value):
        sample.options["multiline"] = True
        sample.reasons["multiline"] = "quoted values go over several lines"
    if '"' not in head and head.count("'") > 2 * head.count("\n") > 0:
        sample.options["quote"] = "'"
        sample.questions.append(f"{sample.name}: values seem to stand in single quotes")


def _look_at_nulls(sample: Sample) -> None:
    words = sorted({
        word for column in sample.columns.values() if len(column.judged) for word in column.null_words
    } & NULL_WORDS)  # fmt: skip
    if words:
        sample.options["null_values"] = words
        sample.reasons["null_values"] = "words where other rows have values"
        nothing = frozenset(words)
        sample.rows = tuple(tuple(None if value in nothing else value for value in row) for row in sample.rows)
        del sample.columns
