"""Which kind each file is, by its first bytes and never by its name, and the sample of each table in files and databases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from capflow_assets.drafting.samples import Sample
from capflow_assets.drafting.stored import database_samples, excel_samples, json_samples, parquet_sample
from capflow_assets.drafting.text_files import text_sample
from capflow_assets.errors import CapflowError, SourceError, listed
from capflow_assets.landing.personal_names import plain_name
from capflow_assets.sources.reading import packed_files

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
# Files of one kind of which the rows are looked at: the first, the middle one and the last.
LOOKED_AT = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen: samples of tables, and what of the files is none, in words."""

    samples: list[Sample]
    refused: list[str]


def look(places: Sequence[str], start: Path, user: str = "", password_variable: str = "") -> Seen:
    """The tables in files, folders, globs and databases, each with a sample.

    Files of one kind with the same columns are one table, at the location that means all of them: a folder or a glob.
    Locations are relative to ``start`` where they lie below it.
    """
    samples: list[Sample] = []
    refused: list[str] = []
    for place in places:
        try:
            if "://" in place and not place.startswith(("s3://", "file://")):
                samples += database_samples(place, user, password_variable)
            else:
                location = place if place.startswith("s3://") else os.path.abspath(place)  # noqa: PTH100
                _add_files(samples, refused, location, start)
        except CapflowError as error:
            refused.append(str(error))
    return Seen(_grouped(samples, start), refused)


def _add_files(samples: list[Sample], refused: list[str], location: str, start: Path) -> None:
    for file in packed_files.files_of(location, of_text=False):
        shown = packed_files.shown(file.path)
        try:
            name = _name(file.member or PurePosixPath(file.named).name)
            of_file = list(_of_file(file.path, file.size_bytes, name, file.named))
        except SourceError as error:
            refused.append(str(error))
            continue
        if not of_file:
            refused.append(f"{shown}: {_stranger(file.path)}")
        for sample in of_file:
            sample.location = sample.location or relative(file.named, start)
            if file.member:
                sample.options["members"] = file.member
            samples.append(sample)


def _of_file(path: str, size: int, name: str, named: str) -> Iterator[Sample]:
    with packed_files.open_stream(path) as stream:
        head = stream.read(4096)
    bare = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(SQLITE):
        yield from database_samples(f"sqlite:///{named}")
    elif head.startswith(PARQUET):
        yield parquet_sample(path, name)
    elif head.startswith((OLD_EXCEL, b"PK")):
        yield from excel_samples(path, name)
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
        head = stream.read(16)
    kind = next((kind for mark, kind in MEDIA.items() if head.startswith(mark)), "")
    if kind.startswith(("a picture", "a recording")):
        return f'{kind}, whatever it is called; such files are a table of their own: [tables.media], source = "files"'
    if head.lstrip().startswith(b"<"):
        return "XML or HTML, which is not read; export the rows as CSV or JSON"
    return f"{kind or 'no table that is known'} ({head[:8]!r}); export the rows as CSV, Excel, JSON or Parquet"


def _name(file: str) -> str:
    stem = file.split(".")[0] if not file.startswith(".") else file
    return plain_name(stem) or "rows"


def relative(path: str, start: Path) -> str:
    """A path as it is written in a TOML at ``start``."""
    if path.startswith("s3://"):
        return path
    return os.path.relpath(path, start) if Path(path).is_relative_to(start) else path


def _grouped(samples: Sequence[Sample], start: Path) -> list[Sample]:
    """Samples of files of one kind and with the same columns as one."""
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        inner = sample.options.get("sheet"), sample.array, sample.options.get("table")
        key = (sample.source, sample.names, inner) if sample.source != "sql" else id(sample)
        groups.setdefault(key, []).append(sample)
    return [_one(group, start) if len(group) > 1 else group[0] for group in groups.values()]


def _one(group: Sequence[Sample], start: Path) -> Sample:
    first = group[0]
    chosen = [group[place] for place in sorted({0, len(group) // 2, len(group) - 1})][:LOOKED_AT]
    first.rows = tuple(row for sample in chosen for row in sample.rows)
    first.rows_total = sum(sample.rows_total for sample in group)
    first.is_whole = len(chosen) == len(group) and all(sample.is_whole for sample in group)
    first.__dict__.pop("columns", None)
    first.notes.append(f"{len(group):,} files of one kind")
    locations = list(dict.fromkeys(sample.location for sample in group))
    if len(locations) == 1 and len({sample.options.get("members") for sample in group}) > 1:
        first.options["members"] = _pattern([str(sample.options["members"]) for sample in group])
        return first
    first.location = _pattern(locations)
    meant = {relative(str(path), start) for path in _matched(first.location, start)}
    if extra := sorted(meant - set(locations)):
        first.questions.append(
            f"{first.location} means {len(extra)} more files of other columns, such as {listed(extra, most=2)}: move "
            "one kind into a folder of its own, or write a glob that means these files alone"
        )
    return first


def _pattern(names: Sequence[str]) -> str:
    """A glob of what names have in common.

    >>> _pattern(["in/bills-01.csv", "in/bills-02.csv"])
    'in/bills-0*.csv'
    """
    begin = os.path.commonprefix(list(names))
    end = os.path.commonprefix([name[len(begin) :][::-1] for name in names])[::-1]
    return f"{begin}*{end}"


def _matched(location: str, start: Path) -> list[Path]:
    if location.startswith("s3://"):
        return []
    path = Path(location)
    fixed, pattern = (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (start, location)
    return [match for match in fixed.glob(pattern) if match.is_file()]
