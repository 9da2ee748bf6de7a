"""Bytes that are no text in the encoding: the file is refused by their line, and never are two ids made one."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv, files, json
from capflow_assets.sources.reading import text_encodings
from capflow_assets.sources.reading.text_encodings import KEPT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LATIN = "id,name\n1,René\n2,Renè\n".encode("latin-1")


def written(folder: Path, content: bytes, name: str = "in.csv") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def names(spark: SparkSession, location: str, **options: Any) -> list[str]:
    rows = csv.read(spark, location, csv.Options(**options)).collect()
    return sorted(row.name for row in rows if row["_corrupt_record"] is None)


def test_two_names_in_another_encoding_do_not_become_one(spark: SparkSession, tmp_path: Path) -> None:
    location = written(tmp_path, LATIN)
    with pytest.raises(Exception, match="bytes that are no text in its encoding") as caught:
        names(spark, location)
    message = str(caught.value)
    assert "in.csv:2" in message
    assert "byte e9" in message
    assert "column 'name'" in message
    assert "cp1252, iso-8859-15 and latin-1 read 'René'" in message
    for encoding in ("cp1252", "latin-1"):
        assert names(spark, location, encoding=encoding) == ["Renè", "René"]


@pytest.mark.parametrize(
    ("text", "encoding", "likeliest"),
    [
        ("Müller;3", "cp1252", "cp1252"),
        ("Straße;ñ", "cp850", "cp850"),
        ("René 5 €", "cp1252", "cp1252"),
        ("Łódź;Žižek", "cp1250", "cp1250"),
        ("привет,мир", "cp1251", "cp1251"),
        ("日本,1", "shift_jis", "shift_jis"),
        ("a,é", "utf-16", "utf-16"),
    ],
)
def test_the_encoding_is_found_by_trying(text: str, encoding: str, likeliest: str) -> None:
    spoilt = text.encode(encoding).decode("utf-8", KEPT)
    assert next(text_encodings.readings(spoilt, "utf-8")).startswith(likeliest)


def test_a_sign_that_stands_for_others_is_a_text_like_any(spark: SparkSession, tmp_path: Path) -> None:
    assert names(spark, written(tmp_path, "id,name\n1,Ren\ufffd\n".encode())) == ["Ren\ufffd"]


def test_rows_of_a_mixed_file_may_be_rejected_instead(spark: SparkSession, tmp_path: Path) -> None:
    location = written(tmp_path, LATIN + "3,Zoë\n".encode())
    rows = csv.read(spark, location, csv.Options(undecodable="reject")).collect()
    assert {row.id: row["_corrupt_record"] is None for row in rows} == {"1": False, "2": False, "3": True}
    assert rows[0]["_corrupt_record"].startswith("holds byte e9, which is no text in utf-8: ")
    assert names(spark, location, undecodable="reject") == ["Zoë"]


@pytest.mark.parametrize(
    ("content", "options", "where"),
    [
        ("id,größe\n1,2\n".encode("latin-1"), {}, "in.csv:1"),
        (b"id,name\n" + b"7,x\n" * 40 + b"8,\xe9\n", {}, "in.csv:42"),
        (gzip.compress(LATIN, mtime=0), {}, "in.csv:2"),
        (b"id,name\n1,a\x81\n", {"encoding": "cp1252"}, "in.csv:2"),
        (b"id,name\n1,\xe9\n", {"encoding": "ascii"}, "in.csv:2"),
        (b'id,name\n1,"x\n\xe9"\n', {"multiline": True}, "in.csv:3"),
        (b"id name\n1 \xe9\n", {"fixed_whitespace": True}, "in.csv:2"),
        (b'id,name\n1,"a"\n2,"\xe9"\n', {}, "in.csv:3"),
    ],
)
def test_wherever_they_stand(
    spark: SparkSession, tmp_path: Path, content: bytes, options: dict[str, Any], where: str
) -> None:
    with pytest.raises(Exception, match="bytes that are no text") as caught:
        names(spark, written(tmp_path, content), **options)
    assert where in str(caught.value)


@pytest.mark.parametrize("item", ["id", "concat(`id`, '')"])
def test_a_column_that_nobody_reads_refuses_no_file(spark: SparkSession, tmp_path: Path, item: str) -> None:
    for number, content in enumerate((LATIN, LATIN + b'3,"x"\n', LATIN + b'3,a"b\n')):
        frame, _ = csv.read_at_a_glance(spark, written(tmp_path, content), csv.Options(), {}, "UTC", [item])
        assert frame.where("_corrupt_record is null").count() == 2 + (number > 0)


@pytest.mark.parametrize("content", [b'{"a": "x"}\n\n{"a": "\xe9"}\n', b'[{"a": "x"},\n {"a": "\xe9"}]'])
def test_json_is_refused_by_the_record(spark: SparkSession, tmp_path: Path, content: bytes) -> None:
    location = written(tmp_path, content, "in.json")
    with pytest.raises(SourceError, match="bytes that are no text") as caught:
        json.read(spark, location, json.Options())
    assert f"in.json{':3' if content.startswith(b'{') else '[1]'}" in str(caught.value)
    frame = json.read(spark, location, json.Options(undecodable="reject"))
    assert {row.a: row["_corrupt_record"] is None for row in frame.collect()} == {"x": True, None: False}
    frame = json.read(spark, location, json.Options(encoding="cp1252"))
    assert sorted(row.a for row in frame.collect()) == ["x", "é"]


def test_a_text_among_files_of_media_says_so(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    written(tmp_path / "media", "René".encode("latin-1"), "1.txt")
    frame = files.read(spark, str(tmp_path / "media"), files.Options(contents=True))
    assert "is no text in UTF-8" in frame.collect()[0]["_corrupt_record"]
