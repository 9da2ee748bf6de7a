"""Packed files, recognised by their bytes: all ways of packing, zips of many members, damaged ones, and bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv, json
from capflow_assets.sources.reading import packed_files
from capflow_assets_tests.sources.archives import zipped

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BILLS = b"id,total\n1,5\n2,7\n"


def compressed(content: bytes, codec: str) -> bytes:
    return bytes(pa.compress(content, codec, asbytes=True))


def framed(content: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: framed(content, "zstd"),
    "lz4": lambda content: framed(content, "lz4"),
    "zip": lambda content: zipped({"bills.csv": content}),
    "stored zip": lambda content: zipped({"bills.csv": content}, zipfile.ZIP_STORED),
    "zip by lzma": lambda content: zipped({"bills.csv": content}, zipfile.ZIP_LZMA),
    "gzip in zip": lambda content: zipped({"bills.csv.gz": gzip.compress(content)}),
    "two gzips in one": lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]),
    "nothing": bytes,
}


def written(folder: Path, content: bytes, name: str) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return str(file)


def content_of(location: str, members: str = "") -> dict[str, bytes]:
    return {
        packed_files.shown(file.path): packed_files.open_stream(file.path).read()
        for file in packed_files.files_of(location, members)
    }


def rows(spark: SparkSession, location: str, **options: Any) -> list[tuple[Any, ...]]:
    frame = csv.read(spark, location, csv.Options(**options))
    return sorted((row.id, row.total, row._position) for row in frame.collect())


@pytest.mark.parametrize("name", ["bills.csv", "bills.csv.gz", "bills"])
@pytest.mark.parametrize("way", WAYS)
def test_packed_files_are_recognised_by_their_bytes(tmp_path: Path, way: str, name: str) -> None:
    location = written(tmp_path, WAYS[way](BILLS), name)
    assert list(content_of(location).values()) == [BILLS]


def test_rows_of_every_way_of_packing_have_the_lines_of_what_is_in_it(spark: SparkSession, tmp_path: Path) -> None:
    for way, pack in WAYS.items():
        written(tmp_path, pack(BILLS), f"in/{way.replace(' ', '-')}")
    records = rows(spark, str(tmp_path / "in"))
    assert sorted((id, total) for id, total, _ in records) == [("1", "5")] * len(WAYS) + [("2", "7")] * len(WAYS)
    places = {position for _, _, position in records}
    assert {"gzip:2", "xz:3", "zip!bills.csv:2", "gzip-in-zip!bills.csv.gz:3", "nothing:3"} <= places
    assert len(places) == 2 * len(WAYS)


def test_a_zip_of_many_members(spark: SparkSession, tmp_path: Path) -> None:
    members = {
        "2024/may.csv": BILLS,
        "2024/june.csv": b"total,id\n9,3\n",
        "empty.csv": b"",
        "__MACOSX/2024/._may.csv": b"\0\5\x16\7",
        ".DS_Store": b"\0\0\0\1Bud1",
        "_notes/readme.txt": b"nothing",
    }
    location = written(tmp_path, zipped(members), "year.zip")
    entries = [("1", "5", "2024/may.csv:2"), ("2", "7", "2024/may.csv:3"), ("3", "9", "2024/june.csv:2")]
    assert rows(spark, location) == [(id, total, f"year.zip!{place}") for id, total, place in entries]
    assert rows(spark, location, members="ju*.csv") == [("3", "9", "year.zip!2024/june.csv:2")]
    with pytest.raises(SourceError, match="no member to be read") as caught:
        rows(spark, location, members="april.csv")
    assert "'2024/may.csv'" in str(caught.value)


def test_json_in_a_zip(spark: SparkSession, tmp_path: Path) -> None:
    members = {"a.json": b'[{"id": 1}, {"id": 2}]', "b.jsonl": b'{"id": 3}\n\n{"id": 4}\n'}
    frame = json.read(spark, written(tmp_path, zipped(members), "in.zip"), json.Options())
    places = {row.id: row._position for row in frame.collect()}
    assert places == {1: "in.zip!a.json[0]", 2: "in.zip!a.json[1]", 3: "in.zip!b.jsonl:1", 4: "in.zip!b.jsonl:3"}


def encrypted() -> bytes:
    """A zip whose one member says that it is encrypted, in its own header and in the directory."""
    content = bytearray(zipped({"bills.csv": BILLS}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("bills.csv")
        info.size = len(BILLS)
        archive.addfile(info, io.BytesIO(BILLS))
    return stream.getvalue()


WORKBOOK = zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encrypted(), "encrypted"),
        (tar(), "tar archive"),
        (zipped({"a.zip": zipped({"bills.csv": BILLS})}), "a zip in a zip"),
        (gzip.compress(gzip.compress(BILLS)), "packed already"),
        (WORKBOOK, 'source = "excel"'),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7z archive"),
        (b"PAR1\0\0", 'source = "parquet"'),
        (gzip.compress(BILLS * 99)[:-9], "cannot be unpacked"),
        (WAYS["zip"](BILLS)[:-30], "cannot be unpacked"),
        (zipped({}), "no member to be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_unpacked_is_reported(tmp_path: Path, content: bytes, words: str) -> None:
    location = written(tmp_path, content, "in.csv")
    with pytest.raises(SourceError) as caught:
        content_of(location)
    assert words in str(caught.value)
    assert "in.csv" in str(caught.value)


def test_a_zip_that_unpacks_to_too_much_is_reported(tmp_path: Path) -> None:
    location = written(tmp_path, zipped({"a": b"0" * (300 << 20)}), "in.csv")
    with pytest.raises(SourceError, match=r"unpacks to too much[\s\S]*in\.csv"):
        content_of(location)


@pytest.mark.parametrize("way", ["gzip", "zstd"])
def test_a_stream_that_unpacks_without_end_is_ended(tmp_path: Path, way: str) -> None:
    location = written(tmp_path, WAYS[way](b"a,b\n" + b"1,2\n" * (70 << 20)), "in.csv")
    with pytest.raises(SourceError, match="unpacks to too much"):
        read_to_the_end(packed_files.files_of(location)[0].path)


def read_to_the_end(path: str) -> None:
    with packed_files.open_stream(path) as stream:
        while stream.read(1 << 20):
            pass


def test_a_packed_file_that_is_damaged_is_reported_by_the_run_that_reads_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    content = bytearray(gzip.compress(b"id,total\n" + b"".join(b"%d,5\n" % n for n in range(99_999))))
    content[-5] ^= 1  # in the sum of what was packed
    with pytest.raises(Exception, match="A packed file cannot be unpacked"):
        rows(spark, written(tmp_path, bytes(content), "in.csv.gz"))
