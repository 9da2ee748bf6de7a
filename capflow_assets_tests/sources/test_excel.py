"""Excel workbooks as customers send them: types cell by cell, sheets, headers, merged cells, damaged files, bombs."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter
import xlwt
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import excel
from capflow_assets.sources.excel import workbooks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

POSITION = "_position"
DAY, MOMENT = datetime.fromisoformat("2024-01-02"), datetime.fromisoformat("2024-01-02 03:04:05")
CELLS = '<row r="{0}"><c r="{1}{0}"><v>1</v></c></row>'


def read(spark: SparkSession, location: Path | str, **options: Any) -> DataFrame:
    return excel.read(spark, str(location), excel.Options(**options))


def rows(spark: SparkSession, location: Path | str, **options: Any) -> list[tuple[Any, ...]]:
    """The rows without their positions, in the sheets' order."""
    collected = read(spark, location, **options).collect()
    return [tuple(row)[:-1] for row in sorted(collected, key=lambda row: int(row[POSITION].rpartition(":")[2]))]


def book(path: Path, *sheets: list[list[Any]], change: Callable[[Any, Any], None] | None = None) -> Path:
    """A workbook of the sheets' cells; ``change`` may add to the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(
        str(path), {"default_date_format": "dd/mm/yyyy hh:mm", "strings_to_numbers": False}
    ) as workbook:
        for place, cells in enumerate(sheets):
            sheet = workbook.add_worksheet()
            for number, row in enumerate(cells):
                for column, value in enumerate(row):
                    sheet.write(number, column, value)
            if change and place == 0:
                change(workbook, sheet)
    return path


def with_part(path: Path, name: str, content: str) -> Path:
    """The same workbook with another content of one of its parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, content if part.filename == name else old.read(part))
    path.write_bytes(packed.getvalue())
    return path


def with_cells(path: Path, cells: str) -> Path:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    text = f'<?xml version="1.0"?><worksheet xmlns="{space}"><sheetData>{cells}</sheetData></worksheet>'
    return with_part(book(path, [[1]]), "xl/worksheets/sheet1.xml", text)


def test_cells_and_their_types(spark: SparkSession, tmp_path: Path) -> None:
    header = ["Receipt No", "count", "total", "at", "paid", "for", "läden", "none"]
    cells = [
        header,
        ["00123", 5, 2.5, MOMENT, True, time(1, 2, 3), " ü ", None],
        ["7", 31198570044, 3, DAY, False, timedelta(hours=30, minutes=5), None, None],
        [None] * 8,
        [None, None, None, None, None, None, "z"],
    ]

    def change(workbook: Any, sheet: Any) -> None:
        sheet.write_datetime(2, 5, timedelta(hours=30, minutes=5), workbook.add_format({"num_format": "[h]:mm:ss"}))
        sheet.write_datetime(1, 5, time(1, 2, 3), workbook.add_format({"num_format": "hh:mm:ss"}))

    frame = read(spark, book(tmp_path / "b.xlsx", cells, change=change))
    kinds = ["string", "bigint", "double", "timestamp_ntz", "boolean", "string", "string", "string", "string"]
    assert frame.dtypes == list(zip([*header, POSITION], kinds, strict=True))
    records = sorted(map(tuple, frame.collect()), key=lambda row: row[-1])
    assert records == [
        ("00123", 5, 2.5, MOMENT, True, "01:02:03", " ü ", None, "b.xlsx!Sheet1:2"),
        ("7", 31198570044, 3.0, DAY, False, "30:05:00", None, None, "b.xlsx!Sheet1:3"),
        (None, None, None, None, None, None, "z", None, "b.xlsx!Sheet1:5"),
    ]


def test_columns_of_several_kinds_are_text_that_the_formats_read(spark: SparkSession, tmp_path: Path) -> None:
    file = book(tmp_path / "b.xlsx", [["a", "b"], [12.5, DAY], ["1.234,5", "3/1/2024"], [7, MOMENT], [True, None]])
    assert rows(spark, file) == [
        ("12.5", "2024-01-02 00:00:00"),
        ("1.234,5", "3/1/2024"),
        ("7", "2024-01-02 03:04:05"),
        ("true", None),
    ]
    assert [row[0] for row in rows(spark, file, decimal_comma=True)] == ["12,5", "1.234,5", "7", "true"]
    assert [row[1] for row in rows(spark, file, date_format="d/M/yyyy")][:2] == ["2/1/2024", "3/1/2024"]
    odd = rows(spark, file, timestamp_format="dd MMM yyyy 'at' hh:mm a")
    assert [row[1] for row in odd] == ["02 Jan 2024 at 12:00 AM", "3/1/2024", "02 Jan 2024 at 03:04 AM", None]


def test_formulas_errors_and_numbers_shown_with_zeros(spark: SparkSession, tmp_path: Path) -> None:
    def change(workbook: Any, sheet: Any) -> None:
        sheet.write_formula(1, 0, "=1+1", None, 2)
        sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
        sheet.write_number(1, 2, 123, workbook.add_format({"num_format": "00000"}))

    assert rows(spark, book(tmp_path / "b.xlsx", [["a", "b", "c"]], change=change)) == [(2, None, 123)]


def test_where_the_table_stands(spark: SparkSession, tmp_path: Path) -> None:
    cells = [["Bills of May"], [], [None, "no", "total"], [None, "#", "EUR"], [None, 1, 2.5], [], [None, 2, 3.5]]
    cells.append([None, "Total", 6])
    file = book(tmp_path / "b.xlsx", cells)
    frame = read(spark, file, header=3, skip_rows=1, skip_last=1)
    assert frame.dtypes == [("no", "bigint"), ("total", "double"), (POSITION, "string")]
    assert sorted(map(tuple, frame.collect())) == [(1, 2.5, "b.xlsx!Sheet1:5"), (2, 3.5, "b.xlsx!Sheet1:7")]
    assert rows(spark, file, range="B5:C7", header=0, names=("a", "b")) == [(1, 2.5), (2, 3.5)]
    assert rows(spark, file, range="b3:b5") == [("#",), ("1",)]
    assert read(spark, file, range="B5:C", header=0).columns == ["column_1", "column_2", POSITION]
    assert read(spark, file, header=1).columns == ["Bills of May", "column_2", "column_3", POSITION]
    with pytest.raises(SourceError, match="row 99"):
        read(spark, file, header=99)
    with pytest.raises(SourceError, match="other columns than declared"):
        read(spark, file, range="B3:C", names=("a",))


def test_names_that_repeat_are_blank_or_reserved(spark: SparkSession, tmp_path: Path) -> None:
    file = book(tmp_path / "b.xlsx", [["No", "no ", None, "_Position", None, 2024], [1, 2, 3, 4]])
    assert read(spark, file).columns == ["No", "no_2", "column_3", "_Position_4", "2024", POSITION]


def test_merged_cells_count_in_each_of_their_rows(spark: SparkSession, tmp_path: Path) -> None:
    def change(_: Any, sheet: Any) -> None:
        sheet.merge_range(1, 0, 3, 0, "north")
        sheet.merge_range(5, 0, 5, 1, "wide")

    cells = [["store", "n"], [None, 1], [None, 2], [None, 3], [None, 4], [None, None]]
    expected = [("north", "1"), ("north", "2"), ("north", "3"), (None, "4"), ("wide", None)]
    records = rows(spark, book(tmp_path / "b.xlsx", cells, change=change))
    assert [(store, None if n is None else str(n)) for store, n in records] == expected


def test_sheets(spark: SparkSession, tmp_path: Path) -> None:
    def change(workbook: Any, sheet: Any) -> None:
        sheet.name = "Mai"
        workbook.add_worksheet("Notes").hide()
        workbook.add_chartsheet("Chart")

    file = book(tmp_path / "b.xlsx", [["a"], [1]], [["a", "b"], ["x", 2.5]], change=change)
    assert rows(spark, file) == rows(spark, file, sheet="mai ") == [(1,)]
    assert {row[POSITION] for row in read(spark, file, sheet="*").collect()} == {"b.xlsx!Mai:2", "b.xlsx!Sheet3:2"}
    assert sorted(rows(spark, file, sheet="*"), key=str) == [("1", None), ("x", 2.5)]
    assert sorted(rows(spark, file, sheet=["Sheet3", "mai"]), key=str) == [("1", None), ("x", 2.5)]
    for sheet in (9, "Chart", "nope", ["Mai", "nope"]):
        with pytest.raises(SourceError, match="no sheet") as caught:
            read(spark, file, sheet=sheet)
        assert "'Mai', 'Notes'" in str(caught.value)
    with pytest.raises(SourceError, match="hold no table"):
        read(spark, file, sheet="Notes")


def test_columns_of_several_workbooks_meet_by_name(spark: SparkSession, tmp_path: Path) -> None:
    book(tmp_path / "in" / "1.xlsx", [["a", "b"], [1, "x"]])
    book(tmp_path / "in" / "deep" / "2.xlsx", [["b", "c", "a"], ["y", DAY, 1.5]])
    (tmp_path / "in" / "~$1.xlsx").write_bytes(b"somebody has it open")
    frame = read(spark, tmp_path / "in")
    assert frame.dtypes[:3] == [("a", "double"), ("b", "string"), ("c", "timestamp_ntz")]
    assert sorted(map(tuple, frame.collect())) == [
        (1.0, "x", None, "1.xlsx!Sheet1:2"),
        (1.5, "y", DAY, "deep/2.xlsx!Sheet1:2"),
    ]


def test_workbooks_of_old(spark: SparkSession, tmp_path: Path) -> None:
    workbook = xlwt.Workbook()
    sheet = workbook.add_sheet("Bills")
    for column, value in enumerate(["no", "n", "at"]):
        sheet.write(0, column, value)
    for column, value in enumerate(["007", 5, DAY]):
        sheet.write(
            1, column, value, xlwt.easyxf(num_format_str="DD/MM/YYYY") if column == 2 else xlwt.Style.default_style
        )
    workbook.save(str(tmp_path / "b.xls"))
    frame = read(spark, tmp_path / "b.xls", sheet="Bills")
    assert [tuple(row) for row in frame.collect()] == [("007", 5, DAY, "b.xls!Bills:2")]


def test_many_and_wide_rows(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "ROWS_AT_ONCE", 1000)
    cells = [[f"c{place}" for place in range(300)], *([number] * 300 for number in range(3000))]
    frame = read(spark, book(tmp_path / "b.xlsx", cells))
    assert (len(frame.columns), frame.selectExpr("sum(c0)", "sum(c299)").collect()[0][1]) == (301, 2999 * 1500)


def test_a_header_alone_is_a_table_without_rows(spark: SparkSession, tmp_path: Path) -> None:
    frame = read(spark, book(tmp_path / "b.xlsx", [["a", "b"]]))
    assert (frame.columns, frame.count()) == (["a", "b", POSITION], 0)


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"<html><table>", b"PK\x03\x04 nope", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 nope", b"PK"]
)
def test_what_is_no_workbook(spark: SparkSession, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.xlsx").write_bytes(content)
    with pytest.raises(SourceError, match=r"no Excel workbook|cannot be read") as caught:
        read(spark, tmp_path / "b.xlsx")
    assert str(tmp_path / "b.xlsx") in str(caught.value)


def test_other_workbooks_and_none(spark: SparkSession, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.ods", "w") as packed:
        packed.writestr("content.xml", "<a/>")
    with pytest.raises(SourceError, match="no Excel workbook"):
        read(spark, tmp_path / "b.ods")
    with pytest.raises(SourceError, match="There are no files"):
        read(spark, tmp_path / "nope.xlsx")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "b.xlsx").touch()
    with pytest.raises(SourceError, match="There is no data"):
        read(spark, tmp_path / "none")


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        (CELLS.format(1, "A") + CELLS.format(1048576, "XFD"), "1,048,576 rows by 16,384 columns"),
        (CELLS.format(1, "A") + CELLS.format(99999999, "B"), "99,999,999 rows"),
        (CELLS.format(1, "A") + CELLS.format(1, "ZZZZ"), "too large"),
        (CELLS.format(1, "A") + CELLS.format(1048576, "XFD").replace(' r="', " r\n = '").replace('">', "'>"), "1,048"),
        (f'<row r="1"><c r="A1" t="str"><v>{"x" * (3 << 20)}</v></c></row>', "32,767 characters"),
    ],
)
def test_cells_that_would_take_all_memory_are_refused(
    spark: SparkSession, tmp_path: Path, cells: str, match: str
) -> None:
    with pytest.raises(SourceError, match="too large") as caught:
        read(spark, with_cells(tmp_path / "b.xlsx", cells))
    assert match in str(caught.value)


def test_a_far_cell_of_few_is_read(spark: SparkSession, tmp_path: Path) -> None:
    file = with_cells(tmp_path / "b.xlsx", CELLS.format(1, "A") + CELLS.format(100_000, "C"))
    assert read(spark, file, header=0).columns == ["column_1", "column_3", POSITION]


def test_a_small_file_that_unpacks_to_much_is_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = with_cells(tmp_path / "b.xlsx", '<row r="1"><c r="A1"><v>1</v></c></row>' + " " * 5_000_000)
    assert file.stat().st_size < 20_000
    monkeypatch.setattr(workbooks, "MOST_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(SourceError, match="when unpacked"):
        read(spark, file)


def test_a_part_that_lies_about_its_size_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    file = with_cells(tmp_path / "b.xlsx", '<row r="1"><c r="A1"><v>1</v></c></row>' + " " * 5_000_000)
    content = file.read_bytes()
    size = next(part.file_size for part in zipfile.ZipFile(file).infolist() if part.file_size > 5_000_000)
    file.write_bytes(content.replace(size.to_bytes(4, "little"), (900).to_bytes(4, "little")))
    with pytest.raises(SourceError, match="cannot be read"):
        read(spark, file)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_reported_and_nothing_else(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    workbook = xlwt.Workbook()
    workbook.add_sheet("A").write(0, 0, "x")
    workbook.save(str(tmp_path / "b.xls"))
    book(tmp_path / "b.xlsx", [["a", "b"], [1, "x"], [DAY, 2]])
    for name in ("b.xls", "b.xlsx"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(40):
            content = bytearray(whole)
            for _ in range(random_.randint(1, 20)):
                content[random_.randrange(len(content))] = random_.randrange(256)
            damaged = tmp_path / f"damaged-{name}"
            damaged.write_bytes(content[: random_.randint(len(content) // 2, len(content))])
            with suppress(SourceError):
                excel.column_kinds(str(damaged), excel.Options())


@pytest.mark.parametrize(
    "wrong",
    [{"sheet": 0}, {"sheet": ""}, {"header": -1}, {"range": "A1"}, {"range": "1:2"}, {"date_format": "dd/MM/yyy"}],
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        excel.Options(**wrong)


def test_the_jvm_reads_the_same(spark: SparkSession, jvm: SparkSession, tmp_path: Path) -> None:
    file = book(tmp_path / "b.xlsx", [["a", "b", "c", "d"], ["007", 1, DAY, True], [None, 2.5, MOMENT, None], [7]])
    here, there = (read(session, file) for session in (spark, jvm))
    assert here.dtypes == there.dtypes
    assert sorted(map(str, here.collect())) == sorted(map(str, there.collect()))
