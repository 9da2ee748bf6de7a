"""CSV files as customers send them: dialects, encodings, broken rows, folders, big files in parts."""

from __future__ import annotations

import codecs
import gzip
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import csv
from capflow_assets.sources.csv import blocks, file_layout, lines, text_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CORRUPT = "_corrupt_record"
POSITION = "_position"


def rows(spark: SparkSession, location: Path | str, **options: Any) -> list[tuple[Any, ...]]:
    frame = csv.read(spark, str(location), csv.Options(**options))
    assert {kind for _, kind in frame.dtypes} == {"string"}
    return sorted((tuple(row)[:-1] for row in frame.collect()), key=str)


def positions(spark: SparkSession, location: Path | str, **options: Any) -> dict[str, str]:
    frame = csv.read(spark, str(location), csv.Options(**options))
    return {row[0]: row[POSITION] for row in frame.collect()}


def written(folder: Path, content: bytes, name: str = "bills.csv") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_values_stay_text_and_blank_is_null(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, b'Receipt No,Total\n007,1.50\n"a ""b"", c",\n"", 3 \n')
    frame = csv.read(spark, str(file), csv.Options())
    assert frame.columns == ["Receipt No", "Total", CORRUPT, POSITION]
    assert rows(spark, file) == [("007", "1.50", None), ('a "b", c', None, None), (None, " 3 ", None)]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"a;b\r\n1,5;2\r\n", {"delimiter": ";"}, [("1,5", "2")]),
        (b"a\tb\n1\t\n", {"delimiter": "\t"}, [("1", None)]),
        ("a,b\né,2\n".encode("latin-1"), {"encoding": "latin-1"}, [("é", "2")]),
        ("a,b\n€,2\n".encode("cp1252"), {"encoding": "windows-1252"}, [("€", "2")]),
        ("a,b\né,2\n".encode("utf-16"), {"encoding": "utf-16"}, [("é", "2")]),
        (b"\xef\xbb\xbfa,b\n1,2\n", {}, [("1", "2")]),
        (b"\xef\xbb\xbf1,2\n", {"header": False, "names": ["a", "b"]}, [("1", "2")]),
        ("a,b\n\ufffd,2\n".encode(), {}, [("\ufffd", "2")]),
        (b"a,b\nNA,-\n", {"null_values": ["NA", "-"]}, [(None, None)]),
        (b"# told\na,b\n# you\n1,2\n", {"comment": "#"}, [("1", "2")]),
        (b"a,b\n\n1,2\n\n", {}, [("1", "2")]),
        (b'a,b\n"x\ny",2\n', {"multiline": True}, [("x\ny", "2")]),
        (b"a,b\n'x,y',2\n", {"quote": "'"}, [("x,y", "2")]),
        (b'a,b\n"x\\"y",2\n', {"escape": "\\"}, [('x"y', "2")]),
        (b'a,b\n"x,2\n', {"quote": ""}, [('"x', "2")]),
        (b"1,2\n", {"header": False, "names": ["a", "b"]}, [("1", "2")]),
        (b"x,y\n1,2\n", {"names": ["a", "b"]}, [("1", "2")]),
        (b"a,b\n1,2,\n", {}, [("1", "2")]),
        (b"a,b\n\x001,2\n", {}, [("\x001", "2")]),
        (b" a  b \r\n 00001 19970101\r\n", {"fixed_whitespace": True}, [("00001", "19970101")]),
        (b"a,b\n", {}, []),
    ],
)
def test_dialects(
    spark: SparkSession, tmp_path: Path, content: bytes, options: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    frame = csv.read(spark, str(written(tmp_path, content)), csv.Options(**options))
    assert frame.columns == ["a", "b", CORRUPT, POSITION]
    assert [tuple(row)[:-1] for row in frame.collect()] == [(*row, None) for row in expected]


def test_a_broken_row_says_so_and_leaves_the_others_alone(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, b'a,b\n1,2\n3\n4,5,6\n"7,8\n9,10\nx\ry,1\n')
    reasons = {row[0]: row[2] for row in rows(spark, file)}
    assert reasons["1"] is None
    assert reasons["9"] is None
    assert reasons["3"] == "has 1 values, not 2: '3'"
    assert reasons["4"] == "has 3 values, not 2: '4,5,6'"
    assert reasons["7,8"] == "has 1 values, not 2: '\"7,8'"
    assert reasons[None].startswith("has no values that can be told apart, not 2")


def test_columns_of_several_files_meet_by_name(spark: SparkSession, tmp_path: Path) -> None:
    written(tmp_path, b"a,b\n1,2\n", "in/1.csv")
    written(tmp_path, b"b,c\n3,4\n", "in/deep/2.csv")
    written(tmp_path, b"", "in/empty.csv")
    written(tmp_path, b"junk", "in/_SUCCESS")
    written(tmp_path, b"junk", "in/.hidden.csv")
    expected = [("1", "2", None, None), (None, "3", "4", None)]
    assert rows(spark, tmp_path / "in") == expected
    assert rows(spark, tmp_path / "in" / "*.csv") == [("1", "2", None)]
    assert rows(spark, tmp_path / "in" / "d*" / "?.csv") == [("3", "4", None)]


def test_names_that_repeat_or_are_blank(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, b"Total, total ,,Total\n1,2,3,4\n")
    frame = csv.read(spark, str(file), csv.Options())
    assert frame.columns == ["Total", "total_2", "column_3", "Total_4", CORRUPT, POSITION]
    nameless = csv.read(spark, str(file), csv.Options(header=False))
    assert nameless.columns == ["column_1", "column_2", "column_3", "column_4", CORRUPT, POSITION]
    assert nameless.count() == 2


def test_odd_names_and_packed_files(spark: SparkSession, tmp_path: Path) -> None:
    assert rows(spark, written(tmp_path, b"a\n1\n", "a b [1] 50%.csv")) == [("1", None)]
    assert rows(spark, written(tmp_path, gzip.compress(b"a\n2\n"), "b.csv.gz")) == [("2", None)]


def test_a_big_file_is_read_in_parts(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{number},{'x' * (number % 13)}" for number in range(5000)]
    file = written(tmp_path, ("a,b\r\n" + "\r\n".join(lines)).encode())
    monkeypatch.setattr(csv, "SPLIT_BYTES", 1000)
    frame = csv.read(spark, str(file), csv.Options())
    assert sorted(int(row.a) for row in frame.collect()) == list(range(5000))
    assert frame.where("length(b) = 12").count() == len([n for n in range(5000) if n % 13 == 12])
    content = file.read_bytes()
    from_start = 0
    for row in frame.where("cast(a as int) % 100 = 0").collect():
        if "@" in row[POSITION]:
            name, _, place = row[POSITION].partition("@")
            before, line = (int(part) for part in place.split("+"))
        else:
            (name, line), before = (row[POSITION].split(":")[0], int(row[POSITION].split(":")[1])), 0
            from_start += 1
        assert name == "bills.csv"
        assert content[before:].split(b"\n")[line - 1].split(b",")[0] == row.a.encode()
    assert 0 < from_start < 50


def test_positions_are_the_lines_of_the_file(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, b"\n# told\na,b\n1,2\n\n# more\n3\n4,5\n", "in/deep/1.csv")
    where = "deep/1.csv:"
    expected = {"1": f"{where}4", "3": f"{where}7", "4": f"{where}8"}
    assert positions(spark, tmp_path / "in", comment="#") == expected
    assert positions(spark, tmp_path / "in", comment="#", multiline=True) == expected
    assert positions(spark, file.parent / "*.csv", comment="#")["4"] == "1.csv:8"
    assert positions(spark, file, comment="#", header=False, names=("a", "b"))["a"] == "1.csv:3"
    assert positions(spark, written(tmp_path, b"a\r\n1\r\n2\r\n"))["2"] == "bills.csv:3"
    assert positions(spark, written(tmp_path, gzip.compress(b"a\n1\n\n2\n"), "x.csv.gz"))["2"] == "x.csv.gz:4"
    spread = written(tmp_path, b'a,b\n"1\n2",x\n3,y\n', "y.csv")
    assert positions(spark, spread, multiline=True) == {"1\n2": "y.csv:3", "3": "y.csv:4"}


def test_columns_of_reserved_names_are_renamed(spark: SparkSession, tmp_path: Path) -> None:
    frame = csv.read(spark, str(written(tmp_path, b"_position,_Corrupt_Record\n1,2\n")), csv.Options())
    assert frame.columns == ["_position_1", "_Corrupt_Record_2", CORRUPT, POSITION]
    assert [tuple(row) for row in frame.collect()] == [("1", "2", None, "bills.csv:2")]


@pytest.mark.parametrize("where", ["nope.csv", "*.csv", "folder", "empty.csv"])
def test_no_data(spark: SparkSession, tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()
    if where == "empty.csv":
        written(tmp_path, b"", where)
    with pytest.raises(SourceError, match=r"There (is|are) no"):
        csv.read(spark, str(tmp_path / where), csv.Options())


def test_a_file_without_a_row_and_one_with_other_columns(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no row"):
        csv.read(spark, str(written(tmp_path, b"\n \n")), csv.Options())
    with pytest.raises(SourceError, match="3 columns"):
        csv.read(spark, str(written(tmp_path, b"1,2\n")), csv.Options(header=False, names=("a", "b", "c")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"delimiter": "||"},
        {"delimiter": ""},
        {"encoding": "klingon"},
        {"encoding": "base64"},
        {"timestamp_format": "DD/MM/YYYY"},
        {"date_format": "dd/MM/yyy"},
        {"sep": ";"},
        {"quote": "''"},
    ],
)
def test_wrong_options(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        csv.Options(**wrong)  # type: ignore[arg-type]


def test_find_rows(spark: SparkSession, tmp_path: Path) -> None:
    written(tmp_path, b"a,b\n1,2\n\n1,2\n", "in/1.csv")
    written(tmp_path, b'a,b\n7,\n"x,\n', "in/2.csv")
    wanted: list[dict[str, str | None]] = [
        {"a": "7", "b": None},
        {"a": "1"},
        {"a": "1"},
        {"a": "9"},
        {"c": "1"},
        {"a": "x,"},
    ]
    assert csv.find_rows(str(tmp_path / "in"), csv.Options(), wanted) == [3, 1, 2, None, None, 4]


LINE = st.text(st.sampled_from("ab,\u00e9\r"), max_size=30)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINE, min_size=1, max_size=12),
    end=st.sampled_from(["", "\n"]),
    mark=st.sampled_from([b"", codecs.BOM_UTF8]),
    header=st.booleans(),
    pieces=st.integers(1, 4),
)
def test_blocks_hold_each_line_once_and_know_its_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    end: str,
    mark: bytes,
    header: bool,
    pieces: int,
) -> None:
    """Lines longer than a block, blocks longer than a part, a line's end between two parts."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 16)
    monkeypatch.setattr(blocks, "LINE_BYTES", 4)
    content = mark + ("\n".join(lines) + end).encode()
    file = tmp_path / "in.csv"
    file.write_bytes(content)
    options = csv.Options(header=header)
    data = _split(content[len(mark) :])
    assume(any(line.strip(b" \r\n") for line in data))  # a file without a row is refused
    first = next(place for place, line in enumerate(data) if line.strip(b" \r\n"))
    layout = file_layout.Layout([], options, 0, first + 1 if header else 0)
    data_begins = len(mark) + (sum(map(len, data[: first + 1])) if header else 0)
    received: list[bytes] = []
    ends = [len(content) * place // pieces for place in range(pieces + 1)]
    assume(ends[1] > data_begins or pieces == 1)  # a part is larger than a header
    for start, stop in pairwise(ends):
        for block, before, number, count in blocks.blocks_of(str(file), start, stop, layout):
            there = _split(block.to_pybytes())
            assert len(there) == count
            numbered = _split(content[before if start else len(mark) :])
            assert numbered[number - 1 : number - 1 + count] == there
            received += there
    assert received == (data[first + 1 :] if header else data)


def _split(text: bytes) -> list[bytes]:
    return [line + b"\n" for line in text.split(b"\n")[:-1]] + [line for line in text.split(b"\n")[-1:] if line]


CELL = st.text(st.sampled_from(list("ab,\"; '\té\x00\r")), max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=5), st.sampled_from([",", ";"]))
def test_the_fast_reading_equals_the_slow_one(cells: list[list[str]], delimiter: str) -> None:
    block = "\n".join(delimiter.join(row) for row in cells).encode() + b"\n"
    options = csv.Options(delimiter=delimiter)
    layout = file_layout.Layout(["a", "b"], options)
    fast = lines.parsed_at_once(pa.py_buffer(block), block.count(b"\n"), layout)
    if fast is not None:
        rows = text_rows.rows_of(block.decode().split("\n"), options)
        slow = [row for batch in lines.parsed_by_rows(rows, layout, ":") for row in batch.to_pylist()]
        places = [(row.pop(POSITION), row.pop(lines.LINE)) for row in slow]
        assert places == [(":", number) for number in range(1, fast.num_rows + 1)]
        assert fast.to_pylist() == slow
