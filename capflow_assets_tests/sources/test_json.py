"""JSON files as customers send them: lines and documents, nesting, broken records, big files in parts."""

from __future__ import annotations

import gzip
import json as plain_json
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from capflow_assets.contract import Column, Table
from capflow_assets.errors import SourceError
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.rejections import REASON
from capflow_assets.sources import json
from capflow_assets.sources.json import arrow_records, record_rows, record_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CORRUPT, POSITION, UNFIT = "_corrupt_record", "_position", "_unfit_columns"


def read(spark: SparkSession, location: Path | str, **options: Any) -> DataFrame:
    return json.read(spark, str(location), json.Options(**options))


def rows(spark: SparkSession, location: Path | str, **options: Any) -> list[tuple[Any, ...]]:
    """The good rows, as JSON would show nested ones, with their positions; none may be corrupt."""
    records = [row.asDict(recursive=True) for row in read(spark, location, **options).collect()]
    assert [row[CORRUPT] for row in records] == [None] * len(records)
    return sorted(
        (tuple(value for name, value in row.items() if name not in (CORRUPT, UNFIT)) for row in records), key=str
    )


def complaints(spark: SparkSession, location: Path | str, **options: Any) -> dict[str, str]:
    corrupt = read(spark, location, **options).where(f"{CORRUPT} is not null").collect()
    assert all(value is None for row in corrupt for value in row[:-2] if row[UNFIT] is None)
    return {row[POSITION]: row[CORRUPT] for row in corrupt}


def written(folder: Path, content: bytes | str, name: str = "bills.jsonl") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_lines_and_their_types(spark: SparkSession, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '{"Receipt No": "007", "total": 1, "paid": true, "at": "2024-01-02 03:04:05", "none": null, "é": "ü"}\n'
        '\n  \r\n{"total": 2.5, "Receipt No": "008", "at": "2024-01-02", "tags": ["a", null], "to": {"id": 1}}\r\n',
    )
    frame = read(spark, file)
    assert frame.dtypes == [
        ("Receipt No", "string"),
        ("total", "double"),
        ("paid", "boolean"),
        ("at", "string"),
        ("none", "string"),
        ("é", "string"),
        ("tags", "array<string>"),
        ("to", "struct<id:bigint>"),
        (UNFIT, "array<string>"),
        (CORRUPT, "string"),
        (POSITION, "string"),
    ]
    assert rows(spark, file) == [
        ("007", 1.0, True, "2024-01-02 03:04:05", None, "ü", None, None, "bills.jsonl:1"),
        ("008", 2.5, None, "2024-01-02", None, None, ["a", None], {"id": 1}, "bills.jsonl:4"),
    ]
    assert [row.id for row in frame.selectExpr("to.id").collect()] == [None, 1]


@pytest.mark.parametrize(
    ("content", "kind", "values"),
    [
        ('{"a": 9007199254740993}\n{"a": 1}', "bigint", [9007199254740993, 1]),
        ('{"a": 9007199254740993}\n{"a": 1.5}', "string", ["9007199254740993", "1.5"]),
        ('{"a": 1.50}\n{"a": "x"}\n{"a": true}\n{"a": 7.0}', "string", ["1.50", "x", "true", "7"]),
        ('{"a": {"b": [1, "é"]}}\n{"a": 1}', "string", ['{"b": [1, "é"]}', "1"]),
        ('{"a": [1]}\n{"a": [2.5]}\n{"a": null}', "array<double>", [[1.0], [2.5], None]),
        ('{"a": {}}\n{"a": null}', "string", ["{}", None]),
        ('{"a": {"id": 1}}\n{"a": {"ID": 2}}', "struct<id:bigint,ID_2:bigint>", [(1, None), (None, 2)]),
        ('{"a": -0.0}\n{"a": 1e3}', "double", [-0.0, 1000.0]),
        ('{"a": "\\ud83d\\ude00 \\u0000"}', "string", ["😀 \0"]),
    ],
)
def test_types_hold_every_value_of_the_files(
    spark: SparkSession, tmp_path: Path, content: str, kind: str, values: list[Any]
) -> None:
    frame = read(spark, written(tmp_path, content))
    assert frame.dtypes[0] == ("a", kind)
    by_position = {row[POSITION]: row.a for row in frame.collect()}
    assert [by_position[f"bills.jsonl:{number}"] for number in range(1, len(values) + 1)] == values


def test_whole_numbers_beyond_64_bits_stay_exact(spark: SparkSession, tmp_path: Path) -> None:
    frame = read(spark, written(tmp_path, '{"a": 123456789012345678901}\n{"a": -5}\n'))
    assert sorted(row.a for row in frame.selectExpr("cast(a as string) a").collect()) == ["-5", "123456789012345678901"]


def test_text_of_numbers_has_the_comma_of_other_text(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, '{"a": 1.234}\n{"a": "1.234,5"}\n')
    assert {row[0] for row in rows(spark, file, decimal_comma=True)} == {"1,234", "1.234,5"}


def test_a_broken_line_says_so_and_leaves_the_others_alone(spark: SparkSession, tmp_path: Path) -> None:
    bad = [
        b'{"a": 1',
        b"5",
        b"null",
        b"[1]",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"c": 1, "c": 1}}',
        b'{"a": 01}',
        b'{"a": 1} {"a": 2}',
        b'{"a": "x\ty"}',
        b'{"s": "\\ud800"}',
        b"{'a': 1}",
        b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"a": ' * 300_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ]
    good = [b'{"a": %d}' % number for number in range(len(bad) + 1)]
    lines = [line for pair in zip(good, [*bad, b""], strict=True) for line in pair]
    file = written(tmp_path, b"\n".join(lines))
    reasons = complaints(spark, file)
    assert set(reasons) == {f"bills.jsonl:{2 * number}" for number in range(1, len(bad) + 1)}
    assert reasons["bills.jsonl:2"] == "is no JSON (Expecting ',' delimiter at character 8): '{\"a\": 1'"
    assert reasons["bills.jsonl:4"] == "is no JSON object: '5'"
    assert reasons["bills.jsonl:12"] == "a holds no int64: 'NaN'"
    assert reasons["bills.jsonl:16"].startswith("holds the number 1e999, which is too large")
    assert reasons["bills.jsonl:18"].startswith("has the key 'a' twice")
    assert reasons["bills.jsonl:20"].startswith("has the key 'c' twice")
    assert reasons["bills.jsonl:28"].startswith("holds half of a character")
    assert reasons["bills.jsonl:32"].startswith("is nested deeper than 100 levels")
    assert reasons["bills.jsonl:34"].startswith("is nested too deep")
    sound = read(spark, file).where(f"{CORRUPT} is null").collect()
    assert sorted((row.a, row[POSITION]) for row in sound) == [
        (number, f"bills.jsonl:{2 * number + 1}") for number in range(len(good))
    ]


def test_encodings_and_packed_files(spark: SparkSession, tmp_path: Path) -> None:
    line = '{"a": "é"}\n'
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        file = written(tmp_path, line.encode(encoding), f"{encoding}.json")
        option = {"encoding": encoding.removesuffix("-sig")}
        assert rows(spark, file, **option) == [("é", f"{encoding}.json:1")]
    assert rows(spark, written(tmp_path, '{"a": "\ufffd"}\n'))[0][0] == "\ufffd"
    assert rows(spark, written(tmp_path, gzip.compress(2 * line.encode()), "b.jsonl.gz"))[1] == ("é", "b.jsonl.gz:2")
    cut = written(tmp_path, gzip.compress(line.encode() * 99)[:-9], "cut.jsonl.gz")
    with pytest.raises(SourceError, match="cannot be unpacked"):
        read(spark, cut)


@pytest.mark.parametrize(
    ("content", "options", "where"),
    [
        ('[{"a": 1}, {"a": 2}]', {}, "[{}]"),
        ('\ufeff[\n  {"a": 1},\r\n  {\n "a": 2}\n]\n', {}, "[{}]"),
        ('{"a": 1}\n{"a": 2}', {"form": "document"}, "[{}]"),
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}\n', {}, "[{}]"),
        ('{"n": 2, "x": [{"items": 1}], "data": {"items": [{"a": 1}, {"a": 2}]}}', {"records": "data.items"}, None),
    ],
)
def test_documents(
    spark: SparkSession, tmp_path: Path, content: str, options: dict[str, Any], where: str | None
) -> None:
    file = written(tmp_path, content, "b.json")
    shown = "b.json" + (where or " data.items[{}]")
    assert rows(spark, file, **options) == [(1, shown.format(0)), (2, shown.format(1))]


def test_a_document_of_one_record_and_of_none(spark: SparkSession, tmp_path: Path) -> None:
    assert rows(spark, written(tmp_path, '{"data": {"a": 1}}', "one.json"), records="data") == [(1, "one.json data[0]")]
    assert rows(spark, written(tmp_path, '{\n "a": 1\n}', "two.json")) == [(1, "two.json[0]")]
    with pytest.raises(SourceError, match="no JSON record"):
        read(spark, written(tmp_path, "[]", "none.json"))


def test_a_broken_record_of_a_document_is_cut_out(spark: SparkSession, tmp_path: Path) -> None:
    records = ['{"a": 1}', "{'a': [1, 2]}", '{"a": nan}', "oops", "5", '{"a": 2}', '{"a": "x\ny"}', '{"a": NaN}']
    file = written(tmp_path, f"[{', '.join(records)}]", "b.json")
    assert set(complaints(spark, file)) == {f"b.json[{place}]" for place in (1, 2, 3, 4, 6, 7)}
    good = read(spark, file).where(f"{CORRUPT} is null").collect()
    assert sorted((row.a, row[POSITION]) for row in good) == [(1, "b.json[0]"), (2, "b.json[5]")]


@pytest.mark.parametrize(
    "content", ['[{"a": 1}, {"a": 2', '[{"a": 1}, {"a": "2}]', '[{"a": 1} {"a": 2}]', '[{"a": 1},', '[{"a": 1},,]']
)
def test_a_document_that_breaks_off_is_refused(spark: SparkSession, tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceError, match="breaks off") as caught:
        read(spark, written(tmp_path, content, "b.json"))
    assert "b.json, character" in str(caught.value)


def test_records_that_are_not_there(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, '{"data": {"bills": 5, "more": 1}}', "b.json")
    with pytest.raises(SourceError, match="an object with bills, more"):
        read(spark, file, records="data.items")
    with pytest.raises(SourceError, match=r"data\.bills holds no records"):
        read(spark, file, records="data.bills")
    with pytest.raises(SourceError, match="an object with 'items'"):
        read(spark, file, records="data.bills.items")


LINES = '{"id": 1, "to": {"n": 5, "x": 1}, "lines": [{"sku": "a", "qty": 2}, {"sku": "b"}]}\n'


def test_a_row_per_element(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, LINES + '{"id": 2, "lines": []}\n{"id": 3}\n{"id": 4, "lines": [{"sku": "c"}]}\noops\n')
    frame = read(spark, file, rows="lines")
    assert dict(frame.dtypes)["lines"] == "struct<sku:string,qty:bigint>"
    good = frame.where(f"{CORRUPT} is null").selectExpr("id", "to.n", "lines.sku", "lines.qty", POSITION).collect()
    assert sorted(tuple(row) for row in good) == [
        (1, 5, "a", 2, "bills.jsonl:1 lines[0]"),
        (1, 5, "b", None, "bills.jsonl:1 lines[1]"),
        (4, None, "c", None, "bills.jsonl:4 lines[0]"),
    ]
    assert set(complaints(spark, file, rows="lines")) == {"bills.jsonl:5"}


def test_a_row_per_element_deep_inside(spark: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, '{"o": {"k": 7, "p": {"l": [1, 2]}}}\n{"o": null}\n{"o": {"k": 8, "p": {"l": [3]}}}\n')
    frame = read(spark, file, rows="o.p.l")
    assert frame.dtypes[0] == ("o", "struct<k:bigint,p:struct<l:bigint>>")
    records = frame.selectExpr("o.k", "o.p.l", POSITION).collect()
    assert sorted(tuple(row) for row in records) == [
        (7, 1, "bills.jsonl:1 o.p.l[0]"),
        (7, 2, "bills.jsonl:1 o.p.l[1]"),
        (8, 3, "bills.jsonl:3 o.p.l[0]"),
    ]


def test_an_array_that_is_none(spark: SparkSession, tmp_path: Path) -> None:
    records = read(spark, written(tmp_path, LINES + '{"id": 2, "lines": "none"}\n'), rows="lines").collect()
    assert {row[CORRUPT] for row in records} == {None, "lines is no list: 'none'"}
    with pytest.raises(SourceError, match="no array 'items'") as caught:
        read(spark, written(tmp_path, LINES), rows="items")
    assert "Came: lines" in str(caught.value)
    with pytest.raises(SourceError, match=r"no array 'to\.n'"):
        read(spark, written(tmp_path, LINES), rows="to.n")


def test_fields_of_several_files_meet_by_name(spark: SparkSession, tmp_path: Path) -> None:
    written(tmp_path, '{"a": 1}\n', "in/1.jsonl")
    written(tmp_path, '[{"a": 2.5, "_position": 3}]', "in/deep/2.json")
    written(tmp_path, b"", "in/empty.json")
    written(tmp_path, b"junk", "in/_SUCCESS")
    assert rows(spark, tmp_path / "in") == [(1.0, None, "1.jsonl:1"), (2.5, 3, "deep/2.json[0]")]
    assert read(spark, tmp_path / "in").columns == ["a", "_position_2", UNFIT, CORRUPT, POSITION]


def test_a_big_file_is_read_in_parts_and_its_last_line_counts(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "SPLIT_BYTES", 10_000)
    lines = [plain_json.dumps({"n": number, "t": "x" * (number % 7)}) for number in range(5000)]
    lines[3000:3000] = ["", "oops"]
    file = written(tmp_path, "\n".join([*lines, '{"n": 5000.5, "late": 1}']))
    frame = read(spark, file)
    assert frame.dtypes[:3] == [("n", "double"), ("t", "string"), ("late", "bigint")]
    places = {row.n: int(row[POSITION].removeprefix("bills.jsonl:")) for row in frame.collect()}
    assert places.pop(None) == 3002
    assert places.pop(5000.5) == 5003
    assert places == {float(number): number + (1 if number < 3000 else 3) for number in range(5000)}


def test_memory_does_not_grow_with_a_document(tmp_path: Path) -> None:
    record = plain_json.dumps({"id": 1, "text": "x" * 1000})
    with (tmp_path / "big.json").open("w") as file:
        file.write("[" + record)
        file.writelines("," + record for _ in range(60_000))
        file.write("]")
    tracemalloc.start()
    count = sum(
        len(chunk.records)
        for chunk in record_text.records_of(str(tmp_path / "big.json"), "", record_text.Form("utf-8"))
    )
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_001
    assert most < 45 << 20 < (tmp_path / "big.json").stat().st_size


def test_a_line_without_end_is_refused(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_text, "MOST_RECORD_BYTES", 1000)
    monkeypatch.setattr(json, "SPLIT_BYTES", 1000)
    file = written(tmp_path, '{"a": 1}\n{"a": "' + "x" * 5000 + '"}\n')
    with pytest.raises(SourceError, match="line of a JSON file is too long"):
        read(spark, file)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "There is no data"),
        (b"\n \n", "no JSON record"),
        (b"a,b\n1,2\n", "no JSON record that can be read"),
        (b"{}\n", "no JSON record"),
        (plain_json.dumps({str(number): 1 for number in range(1500)}).encode(), "too many fields"),
    ],
)
def test_no_records(spark: SparkSession, tmp_path: Path, content: bytes, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        read(spark, written(tmp_path, content))
    with pytest.raises(SourceError, match="There are no files"):
        read(spark, tmp_path / "nope.json")


@pytest.mark.parametrize("wrong", [{"form": "xml"}, {"records": "a..b"}, {"rows": "."}, {"encoding": "klingon"}])
def test_wrong_options(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        json.Options(**wrong)  # type: ignore[arg-type]


def test_the_jvm_reads_the_same(spark: SparkSession, jvm: SparkSession, tmp_path: Path) -> None:
    file = written(tmp_path, LINES + '{"id": 2.5, "lines": [{"sku": 7}]}\noops\n{"a": {"b": [[1], []]}}\n')
    for options in ({}, {"rows": "lines"}):
        here, there = (read(session, file, **options) for session in (spark, jvm))
        assert here.dtypes == there.dtypes
        assert sorted(map(str, here.collect())) == sorted(map(str, there.collect()))


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "A", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORD = st.dictionaries(st.sampled_from(["a", "b", "c", "lines"]), VALUE, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=6))
def test_the_fast_reading_equals_the_slow_one(records: list[dict[str, Any]]) -> None:
    chunk = [(number, plain_json.dumps(record).encode()) for number, record in enumerate(records)]
    messages: list[str] = []
    fast, slow = (
        record_rows.shape_of(chunk, messages.append),
        record_rows.shape_by_records(chunk, messages.append, False),
    )
    assert not messages
    for shape in (fast, slow):
        if not shape.fields:
            return
    columns = json.columns_of("", [{"shape": fast.facts(), "complaints": []}], json.Options())
    expected = json.columns_of("", [{"shape": slow.facts(), "complaints": []}], json.Options())
    assert dict(zip(columns.names, columns.kinds, strict=True)) == dict(
        zip(expected.names, expected.kinds, strict=True)
    )
    reader = record_rows.Reader(columns, "", "at ", "")
    read_fast = [row for batch in reader.batches(chunk) for row in batch.to_pylist()]
    read_slow = [row for batch in reader.batches_by_records(chunk) for row in batch.to_pylist()]
    assert sorted(read_fast, key=str) == sorted(read_slow, key=str)


def test_a_mixed_neighbour_slows_no_other_down() -> None:
    chunk = [(number, b'{"a": %d}' % number) for number in range(10_000)] + [(10_000, b'{"a": "x"}')]
    sound, others = arrow_records.parted(chunk)
    assert (len(sound), others) == (10_001, [])
    pieces = list(arrow_records.pieces(chunk))
    assert [record for piece in pieces for record in piece] == chunk
    assert max(map(len, pieces)) < 1000


def test_nested_fields_land(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(
        "line",
        (Column("user_id", "string", ""), Column("sku", "string", "", required=True), Column("qty", "double", "")),
    )
    file = written(tmp_path, LINES + '{"id": 4, "to": {"n": "x"}, "lines": [{"qty": 1, "tags": ["a"]}]}\noops\n')
    mapping = {"user_id": "to.n", "sku": "lines.sku", "qty": "coalesce(lines.qty, size(lines.tags))"}
    landed = conform(read(spark, file, rows="lines"), table, mapping, zone="UTC").collect()
    assert sorted((row.user_id, row.sku, row.qty, row[REASON] or "") for row in landed if row.user_id) == [
        ("5", "a", 2.0, ""),
        ("5", "b", None, ""),
        ("x", None, 1.0, "sku is empty"),
    ]
    reason = "the row is no JSON (Expecting value at character 1): 'oops'; sku is empty"
    assert [row[REASON] for row in landed if row.user_id is None] == [reason]
