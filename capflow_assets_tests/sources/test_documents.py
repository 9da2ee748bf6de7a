"""What every store of documents means: one schema over all, types that lose nothing, a row per element of a list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources.reading import documents
from capflow_assets.sources.reading.documents import Reading
from capflow_assets.sources.reading.shapes import MOST_DEPTH, MOST_FIELDS, Shape, unique


def frame(spark: Any, *parts: list[dict[str, Any]], **options: Any) -> Any:
    """A frame of the documents of some parts, one page each."""

    def pages(part: str) -> Iterator[documents.Page]:
        yield [(document, f"shop {part}.{place}") for place, document in enumerate(parts[int(part)])]

    return documents.frame_of(
        spark, "shop", [str(part) for part in range(len(parts))], pages, Reading.model_validate(options)
    )


def types(data: Any) -> dict[str, str]:
    return {name: kind for name, kind in data.dtypes if not name.startswith("_")}


def values(data: Any, column: str) -> list[Any]:
    return [row[0] for row in data.orderBy("_position").select(column).collect()]


@pytest.mark.parametrize(
    ("seen", "kind", "read"),
    [
        ([1, 2], "bigint", [1, 2]),
        ([2**63 - 1, -(2**63)], "bigint", [2**63 - 1, -(2**63)]),
        ([2**63, 1], "decimal(19,0)", [Decimal(2**63), Decimal(1)]),
        ([10**40, 1], "string", [str(10**40), "1"]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([2**53 + 1, 2.5], "string", [str(2**53 + 1), "2.5"]),
        ([Decimal("1.50"), Decimal("12.345")], "decimal(5,3)", [Decimal("1.500"), Decimal("12.345")]),
        ([Decimal("1.50"), 7], "decimal(3,2)", [Decimal("1.50"), Decimal("7.00")]),
        ([Decimal("1.5"), 2.25], "double", [1.5, 2.25]),
        ([Decimal("1E+3"), 7], "bigint", [1000, 7]),
        ([Decimal("1E-60"), 7], "string", ["1E-60", "7"]),
        ([True, None], "boolean", [True, None]),
        ([True, 1], "string", ["true", "1"]),
        ([17850.0, "17850A"], "string", ["17850", "17850A"]),
        (["é😀", None], "string", ["é😀", None]),
        ([b"\x00\xff", None], "binary", [b"\x00\xff", None]),
        ([None, None], "string", [None, None]),
        ([[1, 2], [None]], "array<bigint>", [[1, 2], [None]]),
        ([[], None], "array<string>", [[], None]),
        ([[1], ["a"]], "array<string>", [["1"], ["a"]]),
        ([{"a": 1}, "x"], "string", ['{"a": 1}', "x"]),
        ([{}, None], "string", ["{}", None]),
    ],
)
def test_types(spark: Any, seen: list[Any], kind: str, read: list[Any]) -> None:
    data = frame(spark, [{"value": value} for value in seen])
    assert types(data) == {"value": kind}
    results = values(data, "value")
    assert [bytes(item) if isinstance(item, bytearray) else item for item in results] == read


def test_instants(spark: Any) -> None:
    at = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    data = frame(spark, [{"at": at}, {"at": None}])
    assert types(data) == {"at": "timestamp"}
    micros = data.orderBy("_position").selectExpr("unix_micros(at)").collect()
    assert [row[0] for row in micros] == [int(at.timestamp()) * 1_000_000, None]
    assert values(frame(spark, [{"at": at}, {"at": "soon"}]), "at") == ["2024-05-01T12:30:00+00:00", "soon"]


def test_a_field_of_the_last_document_alone_is_a_column(spark: Any) -> None:
    data = frame(spark, [{"a": 1}] * 5000, [{"a": 2}] * 5000 + [{"a": 2.5, "late": {"deep": ["x"]}}])
    assert types(data) == {"a": "double", "late": "struct<deep:array<string>>"}
    assert data.count() == 10001
    assert data.where("get(late.deep, 0) = 'x'").select("a").collect()[0][0] == 2.5


def test_nested_documents(spark: Any) -> None:
    first = {"id": 1, "customer": {"id": "c1", "tags": ["a"]}}
    data = frame(spark, [first, {"id": 2, "customer": {"id": 7, "city": "Köln"}}, {"id": 3, "customer": None}])
    assert types(data)["customer"] == "struct<id:string,tags:array<string>,city:string>"
    assert values(data, "customer.id") == ["c1", "7", None]
    assert values(data, "customer.city") == [None, "Köln", None]


def test_an_element_a_row(spark: Any) -> None:
    orders = [
        {"id": 1, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]},
        {"id": 2, "lines": []},
        {"id": 3},
        {"id": 4, "lines": [{"sku": "c"}]},
        {"id": 5, "lines": "lost"},
    ]
    data = frame(spark, orders, rows="lines")
    assert types(data) == {"id": "bigint", "lines": "struct<sku:string,n:bigint>"}
    rows = data.selectExpr("id", "lines.sku", "lines.n", "_position", "_corrupt_record").orderBy("_position").collect()
    assert [tuple(row) for row in rows] == [
        (1, "a", 1, "shop 0.0 lines[0]", None),
        (1, "b", 2, "shop 0.0 lines[1]", None),
        (4, "c", None, "shop 0.3 lines[0]", None),
        (5, None, None, "shop 0.4", "lines is no list: 'lost'"),
    ]


def test_elements_of_an_inner_list(spark: Any) -> None:
    data = frame(spark, [{"id": 1, "order": {"at": "x", "lines": ["a", "b"]}}], rows="order.lines")
    assert types(data) == {"id": "bigint", "order": "struct<at:string,lines:string>"}
    assert values(data, "order.lines") == ["a", "b"]
    assert values(data, "order.at") == ["x", "x"]


def test_names_that_engines_confuse(spark: Any) -> None:
    document = {"Total": 1, "total": 2, "_corrupt_record": "mine", "a.b": 3, "": 4, "in": {"X": 1, "x": 2}}
    data = frame(spark, [document])
    assert data.columns[:5] == ["Total", "total_2", "_corrupt_record_2", "a.b", "unnamed"]
    row = data.collect()[0]
    assert (row["Total"], row["total_2"], row["_corrupt_record_2"], row["a.b"], row["unnamed"]) == (1, 2, "mine", 3, 4)
    assert row["in"].asDict() == {"X": 1, "x_2": 2}
    assert row["_corrupt_record"] is None
    assert unique(["a", "A", "a_2"]) == {"a": "a", "A": "A_2", "a_2": "a_2_2"}


def test_what_no_column_holds_is_reported_in_its_row(spark: Any) -> None:
    data = frame(spark, [{"id": 1, "n": Decimal("1.5")}, {"id": 2, "n": Decimal("NaN")}, {"id": 3, "n": complex(1)}])
    rows = data.orderBy("id").select("id", "n", "_corrupt_record").collect()
    assert [tuple(row)[:2] for row in rows] == [(1, Decimal("1.5")), (2, None), (3, None)]
    assert [row[2] for row in rows] == [
        None,
        "n holds no decimal128(2, 1): 'NaN'",
        "n holds no decimal128(2, 1): '(1+0j)'",
    ]


def test_declared_columns_spare_the_learning(spark: Any) -> None:
    seen = [{"id": 1, "n": "many", "s": 5, "in": {"a": 1, "b": 2}}, {"id": 2, "n": 3, "d": 2, "in": {"a": 0.5}}]
    data = frame(spark, seen, columns="id int, n bigint, s string, d double, `in` struct<a: double>")
    assert types(data) == {"id": "int", "n": "bigint", "s": "string", "d": "double", "in": "struct<a:double>"}
    rows = data.orderBy("id").selectExpr("n", "s", "d", "in.a", "_corrupt_record").collect()
    assert [tuple(row) for row in rows] == [
        (None, "5", None, 1.0, "n holds no int64: 'many'"),
        (3, None, 2.0, 0.5, None),
    ]
    with pytest.raises(SourceError, match="The declared columns cannot be read"):
        frame(spark, seen, columns="id nonsense")


def test_fields_to_read(spark: Any) -> None:
    assert types(frame(spark, [{"a": 1, "b": 2, "c": 3}], fields=("c", "a"))) == {"c": "bigint", "a": "bigint"}


def test_wide_and_deep_documents(spark: Any) -> None:
    wide = {f"user {place}": place for place in range(MOST_FIELDS + 1)}
    deep: Any = "end"
    for _ in range(MOST_DEPTH + 30):
        deep = {"in": deep}
    data = frame(spark, [{"id": 1, "wide": wide, "deep": deep}])
    row = data.collect()[0]
    assert types(data)["wide"] == "string"
    assert row["wide"].startswith('{"user 0": 0, ')
    assert data.dtypes[2][1].count("struct") == MOST_DEPTH - 1
    with pytest.raises(SourceError, match="too many fields for a table"):
        frame(spark, [wide])


def test_many_columns(spark: Any) -> None:
    data = frame(spark, [{f"c{place}": place for place in range(500)}] * 10)
    assert len(data.columns) == 503
    assert data.selectExpr("sum(c499)").collect()[0][0] == 4990


def test_nothing_there(spark: Any) -> None:
    with pytest.raises(SourceError, match="There is no document"):
        frame(spark, [])
    with pytest.raises(SourceError, match=r"none with elements in 'lines' \(options.rows\)"):
        frame(spark, [{"id": 1}], rows="lines")


def test_shapes_do_not_depend_on_the_order_of_parts() -> None:
    seen = [1, 2.5, "x", None, {"a": [1]}, {"a": [Decimal("0.5")]}, [True], 2**70, b"x"]
    forwards, backwards = Shape(), Shape()
    for some, shape in ((seen, forwards), (seen[::-1], backwards)):
        for value in some:
            one = Shape()
            one.add({"v": value})
            shape.merge(Shape.of_facts(one.facts()))
    assert forwards.facts() == backwards.facts()
    assert str(forwards.arrow()) == "struct<v: string>"


def test_the_same_on_a_jvm(spark: Any, jvm: Any) -> None:
    at = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    seen = [
        {"id": 1, "c": {"id": "a", "n": Decimal("1.50")}, "lines": [{"s": "x", "at": at}, {"s": "y"}], "b": b"x"},
        {"id": 2**60, "c": None, "lines": [{"s": 5}], "z": [1, "a"]},
    ]
    for options in ({}, {"rows": "lines"}):
        one, other = (frame(session, seen, **options) for session in (spark, jvm))
        assert one.dtypes == other.dtypes
        assert one.orderBy("_position").collect() == other.orderBy("_position").collect()
