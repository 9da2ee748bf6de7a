"""What stands around the rows of a file: banners, footers, Excel's line of the delimiter, old Macs' ends of lines."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv, excel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BANNER = "Shop 7\n\nMarch;2024\nid;total\n1;5\n2;7\nTotal;12\n"


def rows(spark: SparkSession, folder: Path, content: str | bytes, **options: Any) -> list[tuple[Any, ...]]:
    file = folder / "in.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    frame = csv.read(spark, str(file), csv.Options(**options))
    assert frame.columns[:2] == ["id", "total"]
    return sorted(
        (row.id, row.total, int(row["_position"].rpartition(":")[2].rpartition("+")[2])) for row in frame.collect()
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("multiline", [False, True])
def test_a_banner_and_a_footer(spark: SparkSession, tmp_path: Path, pack: Any, multiline: bool) -> None:
    options = {"delimiter": ";", "header_row": 4, "multiline": multiline}
    content = pack(BANNER.encode())
    assert rows(spark, tmp_path, content, skip_last=1, **options) == [("1", "5", 5), ("2", "7", 6)]
    assert rows(spark, tmp_path, content, skip_last=2, **options) == [("1", "5", 5)]
    assert len(rows(spark, tmp_path, content, **options)) == 3


def test_a_header_that_is_not_there(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 2") as caught:
        rows(spark, tmp_path, BANNER, header_row=2, delimiter=";")
    assert "the next row is line 3" in str(caught.value)
    with pytest.raises(SourceError, match="holds no row"):
        rows(spark, tmp_path, BANNER, header_row=90)
    with pytest.raises(ValidationError, match="header_row"):
        csv.Options(header_row=4, header=False)


def test_more_rows_left_out_than_there_are(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="A file ends too soon"):
        rows(spark, tmp_path, "id,total\n1,2\n", skip_last=2)


def test_a_footer_of_a_file_that_is_read_in_parts(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "SPLIT_BYTES", 1000)
    content = "id,total\n" + "".join(f"{n},{n}\n" for n in range(1, 1001)) + "Total,500500\n\n"
    records = rows(spark, tmp_path, content, skip_last=1)
    assert sorted(int(id) for id, _, _ in records) == list(range(1, 1001))


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "\ufeffSEP=;", "sep=;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_excels_line_of_the_delimiter(spark: SparkSession, tmp_path: Path, first: str, end: str) -> None:
    content = end.join((first, "id;total", "1;5,0", "2;7,5", ""))
    assert rows(spark, tmp_path, content) == [("1", "5,0", 3), ("2", "7,5", 4)]
    assert rows(spark, tmp_path, content.encode("utf-16"), encoding="utf-16") == [("1", "5,0", 3), ("2", "7,5", 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_lines_that_end_as_on_old_macs(spark: SparkSession, tmp_path: Path, encoding: str) -> None:
    content = "id,total\r1,é\r\r2,7\r".encode(encoding)
    assert rows(spark, tmp_path, content, encoding=encoding) == [("1", "é", 2), ("2", "7", 4)]
    assert rows(spark, tmp_path, 'id,total\r\n1,"a\rb"\r\n', multiline=True) == [("1", "a\rb", 2)]


def test_a_workbook_names_its_row_as_a_csv_file_does() -> None:
    assert (excel.Options(header_row=4).row_of_names, excel.Options(header=0).row_of_names) == (4, 0)
    with pytest.raises(ValidationError, match="not both"):
        excel.Options(header_row=4, header=4)
