"""Which kind each file is, by its first bytes and never by its name, and a sample of each table in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import ascii_letters

from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.stored import database_samples, excel_samples, json_samples, parquet_samples
from capflow_assets.drafting.text_files import text_sample
from capflow_assets.drafting.united import sheets_as_one, united
from capflow_assets.drafting.words import STORE, meaning
from capflow_assets.errors import CapflowError, SourceError, listed
from capflow_assets.landing.personal_names import plain_name
from capflow_assets.sources.reading import packed_files
from capflow_assets.sources.reading.storage import StoredFile

PARQUET, SQLITE, OLD_EXCEL = b"PAR1", b"SQLite format 3\x00", b"\xd0\xcf\x11\xe0"
MEDIA = {
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"\x89PNG": "a picture (PNG)",
    b"GIF8": "a picture (GIF)",
    b"RIFF": "a recording or picture (RIFF)",
    b"ID3": "a recording (MP3)",
    b"OggS": "a recording (Ogg)",
    b"fLaC": "a recording (FLAC)",
    b"II*\0": "a picture (TIFF)",
    b"MM\0*": "a picture (TIFF)",
    b"%PDF": "a PDF document",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
}
HEAD_BYTES, STRANGERS_BYTES = 4096, 1 << 20
DIGITS = re.compile(r"[0-9]+")
STORE_FOLDER = re.compile(r"(?:^|/)([A-Za-z_]\w*)=([^/]+)(?=/)")
TEXT = re.compile(rb"[\t\r\n -~]{16}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen: samples of tables, and what of the files is none, in words."""

    samples: list[Sample]
    refused: list[str]


def look(places: Sequence[str], start: Path | None, user: str = "", password_variable: str = "") -> Seen:
    """The tables in files, folders, globs and databases, each with a sample.

    Files of one kind with the same columns are one table, at the location that means all of them: a folder or a glob.
    Locations are relative to ``start`` where they lie below it; absolute where it is None.

    Raises:
        CapflowError: the only place cannot be opened.
    """
    samples: list[Sample] = []
    refused: dict[str, list[str]] = {}
    for place in places:
        try:
            if "://" in place and not place.startswith("s3://"):
                samples += database_samples(place, user, password_variable)
            else:
                location = place if place.startswith("s3://") else os.path.abspath(place)  # noqa: PTH100
                _add_files(samples, refused, location, start)
        except CapflowError as error:
            if len(places) == 1:
                raise
            refused.setdefault(str(error), []).append("")
    return Seen(_grouped(samples, start), [_refusal(words, files) for words, files in refused.items()])


def _refusal(words: str, files: Sequence[str]) -> str:
    named = [file for file in files if file]
    return f"{listed(named, most=3)}: {words}" if named else words


def _add_files(samples: list[Sample], refused: dict[str, list[str]], location: str, start: Path | None) -> None:
    kinds: dict[object, list[StoredFile]] = {}
    for file in packed_files.files_of(location, of_text=False):
        kinds.setdefault(_kind(file), []).append(file)
    for files in kinds.values():
        places = sorted({0, len(files) // 2, len(files) - 1})
        for place in places:
            file = files[place]
            try:
                name = _name(file.member or PurePosixPath(file.named).name)
                of_file = list(_of_file(file.path, file.size_bytes, name, file.named))
            except SourceError as error:
                refused.setdefault(str(error), []).append("")
                continue
            if not of_file:
                alike = [packed_files.shown(one.path) for one in files if place in (0, files.index(one))]
                refused.setdefault(_stranger(file.path), []).extend(alike if place == 0 else [])
                continue
            # Those between are of the kind of the first.
            stands_for = [one for number, one in enumerate(files) if number not in places] if place == 0 else []
            for sample in of_file:
                sample.location = sample.location or relative(file.named, start)
                sample.files = tuple((relative(one.named, start), one.member) for one in (file, *stands_for))
                if file.member:
                    sample.options["members"] = file.member
                samples.append(sample)


def _kind(file: StoredFile) -> object:
    """What files of one kind have in common, by their first bytes: the row of names, or what stands at their head."""
    with packed_files.open_stream(file.path) as stream:
        head = stream.read(HEAD_BYTES)
    mark = next((mark for mark in (*MEDIA, PARQUET, SQLITE, OLD_EXCEL, b"PK") if head.startswith(mark)), None)
    if mark == SQLITE:
        return file.path
    if mark is not None or head[:1] in (b"{", b"["):
        return mark or head[:1], DIGITS.sub("", PurePosixPath(file.member or file.named).name)
    return head.split(b"\n")[0].rstrip(b"\r")


def _of_file(path: str, size: int, name: str, named: str) -> Iterator[Sample]:
    with packed_files.open_stream(path) as stream:
        head = stream.read(HEAD_BYTES)
    bare = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(SQLITE):
        yield from database_samples(f"sqlite:///{named}")
    elif head.startswith(PARQUET):
        yield from parquet_samples(path, name)
    elif head.startswith((OLD_EXCEL, b"PK")):
        yield from sheets_as_one(list(excel_samples(path, name)))
    elif any(head.startswith(mark) for mark in MEDIA) or _is_binary(head):
        return
    elif bare[:1] in (b"{", b"[") and b'"' in bare:
        yield from json_samples(path, name, size)
    elif bare[:1] != b"<":
        sample = text_sample(path, size, name)
        if sample is not None:
            yield sample


def _is_binary(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head[:400].count(0) in range(150, 250):
        return False  # UTF-16
    return b"\0" in head


def _stranger(path: str) -> str:
    with packed_files.open_stream(path) as stream:
        head = stream.read(STRANGERS_BYTES)
    kind = next((kind for mark, kind in MEDIA.items() if head.startswith(mark)), "")
    if kind.startswith(("a picture", "a recording")):
        return f'{kind}, whatever it is called; such files are a table of their own: [tables.media], source = "files"'
    if b"\0" in head and TEXT.match(head):
        return (
            "text with NUL bytes in it, as of a file that is cut off, still being written, or spoilt on its way; "
            "have it exported again"
        )
    if head.lstrip().startswith(b"<"):
        return "XML or HTML, which is not read; export the rows as CSV or JSON"
    return f"{kind or 'no table that is known'} ({head[:8]!r}); export the rows as CSV, Excel, JSON or Parquet"


def _name(file: str) -> str:
    stem = file.split(".")[0] if not file.startswith(".") else file
    return plain_name(stem) or "rows"


def relative(path: str, start: Path | None) -> str:
    """A path as it is written in a TOML at ``start``."""
    if path.startswith("s3://") or start is None:
        return path
    return os.path.relpath(path, start) if Path(path).is_relative_to(start) else path


def _grouped(samples: Sequence[Sample], start: Path | None) -> list[Sample]:
    """Samples of files of one kind and with the same columns, or those of an older or newer version, as one."""
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        inner = str(sample.options.get("sheet")), sample.array, sample.options.get("table")
        key = (sample.source, sample.names, inner) if sample.source != "sql" else id(sample)
        groups.setdefault(key, []).append(sample)
    together = united(list(groups.values()))
    return [_one(group, start) if len(group) > 1 or len(group[0].files) > 1 else group[0] for group in together]


def _one(group: Sequence[Sample], start: Path | None) -> Sample:
    first = group[0]
    files = [file for sample in group for file in sample.files]
    _add_store_folders(group)
    first.parts = tuple((PurePosixPath(sample.files[0][0]).name, len(sample.rows)) for sample in group)
    first.rows = tuple(row for sample in group for row in sample.rows)
    first.rows_total = round(sum(sample.rows_total for sample in group) * len(files) / len(group))
    first.is_whole = len(files) == len(group) and all(sample.is_whole for sample in group)
    first.__dict__.pop("columns", None)
    first.notes.append(f"{len(files):,} files of one kind")
    locations = list(dict.fromkeys(location for location, _ in files))
    members = list(dict.fromkeys(member for _, member in files))
    if len(members) > 1:
        first.options["members"] = _pattern(members)
    if len(locations) == 1:
        return first
    first.location = _wider(_whole_words(locations, start), start)
    meant = {relative(str(path), start) for path in _matched(first.location, start)}
    if extra := sorted(meant - set(locations)):
        first.questions.append(
            f"{first.location} means {len(extra)} more files of other columns, such as {listed(extra, most=2)}: move "
            "one kind into a folder of its own, or write a glob that means these files alone"
        )
    return first


def _add_store_folders(group: Sequence[Sample]) -> None:
    """Give samples of files in folders such as ``store=7`` that column, as their source will."""
    of_files = [STORE_FOLDER.findall(sample.files[0][0]) for sample in group]
    keys = {key for found in of_files for key, _ in found if STORE in meaning(key) and key not in group[0].names}
    for key in keys if all(of_files) else ():
        for sample, found in zip(group, of_files, strict=True):
            sample.names = (*sample.names, key)
            sample.rows = tuple((*row, dict(found).get(key)) for row in sample.rows)


def _pattern(names: Sequence[str]) -> str:
    """A glob of what names have in common, folder by folder where they lie equally deep.

    >>> _pattern(["in/bills-01.csv", "in/bills-02.csv"])
    'in/bills-0*.csv'
    >>> _pattern(["store=1/may.csv", "store=2/june.csv"])
    'store=*/*.csv'
    """
    parts = [name.split("/") for name in names]
    if len({len(each) for each in parts}) > 1:
        return _pattern_of(names)
    return "/".join(_pattern_of(level) for level in zip(*parts, strict=True))


def _pattern_of(names: Sequence[str]) -> str:
    if len(set(names)) == 1:
        return names[0]
    begin = os.path.commonprefix(list(names))  # noqa: RUF071  (by characters)
    end = os.path.commonprefix([name[len(begin) :][::-1] for name in names])[::-1]  # noqa: RUF071
    return f"{begin}*{end}"


def _whole_words(names: Sequence[str], start: Path | None) -> str:
    """The glob of names that is not cut within a word, where it means no other files: ``*_sales.csv`` of alba's and
    bora's rather than ``*a_sales.csv``.
    """
    pattern = _pattern(names)
    if pattern.count("*") != 1:
        return pattern
    begin, _, end = pattern.partition("*")
    inner = [name[len(begin) : len(name) - len(end)] for name in names]
    if any(part[:1].isalpha() for part in inner):
        begin = begin.rstrip(ascii_letters)
    if any(part[-1:].isalpha() for part in inner):
        end = end.lstrip(ascii_letters)
    whole = f"{begin}*{end}"
    return whole if _matched(pattern, start) and _matched(whole, start) == _matched(pattern, start) else pattern


def _wider(pattern: str, start: Path | None) -> str:
    """The pattern without the digits that today's names have in common, where it means no other files than before."""
    wider = re.sub(r"[0-9]*[*][0-9]*", "*", pattern)
    return wider if _matched(pattern, start) and _matched(wider, start) == _matched(pattern, start) else pattern


def _matched(location: str, start: Path | None) -> list[Path]:
    if location.startswith("s3://"):
        return []
    path = Path(location)
    if path.is_absolute() or start is None:
        matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    else:
        matches = start.glob(location)
    return sorted(match for match in matches if match.is_file())
