"""Landing: each row's values, times and reasons, on the embedded engine and on a JVM alike."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Column, Table
from capflow_assets.errors import MappingError
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.keys import generated_key
from capflow_assets_doubles.landings import split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BILLS = Table(
    grain="bill",
    columns=(
        Column("bill_id", "string", "", required=True),
        Column("user_id", "string", ""),
        Column("billed_at", "timestamp", "", required=True),
        Column("amount", "double", "", required=True),
        Column("quantity", "double", "", at_least=0),
    ),
    key=("bill_id",),
)
MAPPING = {"bill_id": "No", "user_id": "Card", "billed_at": "Date", "amount": "Total", "quantity": "Qty"}
LINES = Table(grain="line", columns=(Column("value", "double", ""),))


def at(*parts: int) -> datetime:
    """A moment in UTC as Spark hands it out: without its zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type, misc]


def one(spark: SparkSession, kind: str, values: list[Any], to: str, zone: str = "UTC", **how: Any) -> list[Any]:
    """What each value of Spark type ``kind`` becomes as ``to``, or the reason why it does not."""
    frame = spark.createDataFrame(
        [(place, value) for place, value in enumerate(values)], f"place int, `the value` {kind}"
    )
    table = Table(grain="value", columns=(Column("place", "int", ""), Column("value", to, "")))
    mapping = {"place": "place", "value": "the value"}
    landed = conform(frame, table, mapping, zone=zone, **how).orderBy("place")
    assert dict(landed.dtypes)["value"] == to
    return [row.rejected_because or row.value for row in landed.collect()]


def bills(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), "No string, Card string, Date string, Total string, Qty string")


@pytest.fixture(params=["spark", "jvm"])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def test_good_and_bad_rows(engine: SparkSession) -> None:
    frame = bills(
        engine,
        ("1", "u", "2020-07-01 12:00:00", "9.50", "1"),
        ("2", " ", "2020-01-01 12:00:00", " -3 ", None),
        ("", "u", "2020-01-01 12:00:00", "abc", "-1"),
        ("4", "u", "01/02/2020", "NaN", "1e999"),
        (None, None, None, None, "x" * 300),
    )
    landed = conform(frame, BILLS, MAPPING, zone="Europe/London", name="raw/bills")
    assert landed.columns == [*BILLS.names, "rejected_because", "source_position", "source_row"]
    accepted, rejected = split(landed)
    assert accepted.dtypes == [(column.name, column.type) for column in BILLS.columns]
    assert [tuple(row) for row in accepted.orderBy("bill_id").collect()] == [
        ("1", "u", at(2020, 7, 1, 11), 9.5, 1.0),
        ("2", None, at(2020, 1, 1, 12), -3.0, None),
    ]
    by_number = {json.loads(row.source_row)["No"]: row for row in rejected.collect()}
    assert by_number[""].rejected_because == "bill_id is empty; amount: 'abc' is not a double; quantity: -1 is below 0"
    assert json.loads(by_number[""].source_row) == {
        "No": "",
        "Card": "u",
        "Date": "2020-01-01 12:00:00",
        "Total": "abc",
        "Qty": "-1",
    }
    assert by_number["4"].rejected_because == (
        "billed_at: '01/02/2020' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199; "
        "amount: 'NaN' is not a finite number; quantity: '1e999' is not a finite number"
    )
    assert by_number[None].rejected_because == (
        f"bill_id is empty; billed_at is empty; amount is empty; quantity: '{'x' * 100}' is not a double"
    )


@pytest.mark.parametrize(
    ("kind", "to", "values", "expected"),
    [
        ("string", "double", ["1", " 1.5 ", ".5", "5.", "+2", "-0", "1e3", None, "\u00a07\u00a0"],
         [1.0, 1.5, 0.5, 5.0, 2.0, -0.0, 1000.0, None, 7.0]),
        ("string", "double", ["1d", "0x1", "1,5", "£1", "Infinity", "-inf", "१"],
         ["value: '1d' is not a double", "value: '0x1' is not a double", "value: '1,5' is not a double",
          "value: '£1' is not a double", "value: 'Infinity' is not a finite number",
          "value: '-inf' is not a finite number", "value: '१' is not a double"]),
        ("double", "double", [1.5, None, float("nan"), float("inf")],
         [1.5, None, "value: 'NaN' is not a finite number", "value: 'Infinity' is not a finite number"]),
        ("decimal(10,2)", "double", [Decimal("1.50")], [1.5]),
        ("bigint", "double", [3], [3.0]),
        ("string", "int", ["3", "3.0", "-4.", "+5"], [3, 3, -4, 5]),
        ("string", "int", ["3.5", "99999999999", "1e2", "x"],
         ["value: '3.5' is not an int", "value: '99999999999' is not an int", "value: '1e2' is not an int",
          "value: 'x' is not an int"]),
        ("double", "int", [3.0, 3.5], [3, "value: '3.5' is not an int"]),
        ("string", "bigint", ["99999999999"], [99999999999]),
        ("string", "boolean", ["true", "F", "Yes", "n", "1", "0", "maybe", ""],
         [True, False, True, False, True, False, "value: 'maybe' is not a boolean", None]),
        ("int", "boolean", [1, 0, 2], [True, False, "value: '2' is not a boolean"]),
        ("bigint", "string", [31198570044, None], ["31198570044", None]),
        ("double", "string", [31198570044.0, 1.5, -2.0], ["31198570044", "1.5", "-2"]),
        ("decimal(20,2)", "string", [Decimal("31198570044.00"), Decimal("1.50")], ["31198570044", "1.50"]),
        ("string", "string", ["007", " a ", "", " \t", "Ä\u0000漢🛒"], ["007", " a ", None, None, "Ä\u0000漢🛒"]),
        ("date", "string", [date(2020, 1, 2)], ["2020-01-02"]),
        ("boolean", "string", [True], ["true"]),
    ],
)  # fmt: skip
def test_values(engine: SparkSession, kind: str, to: str, values: list[Any], expected: list[Any]) -> None:
    results = [
        value.replace("'inf'", "'Infinity'") if isinstance(value, str) else value
        for value in one(engine, kind, values, to)
    ]
    assert results == expected


def test_blanks_that_come_first_or_alone(engine: SparkSession) -> None:
    texts = ["\u00a0", "\u00a0 \t", "\u00a0a", "\u00a0\u00a0é", "\u0001", "!", "\n"]
    assert one(engine, "string", texts, "string") == [None, None, "\u00a0a", "\u00a0\u00a0é", None, "!", None]
    assert one(engine, "string", [" 3 ", "\u00a03.0", " -4. ", "\u00a0"], "int") == [3, 3, -4, None]
    assert one(engine, "string", [" 1,5", "\u00a01.000 "], "double", decimal_comma=True) == [1.5, 1000.0]
    times = ["2024-03-01", "2024-03-01 10:00", "2024-03-01T10:00:00.5", "2024-03-01T10:00:00Z", "1900-01-01 12:00"]
    bare = one(engine, "string", times, "timestamp")
    assert not [value for value in bare if not isinstance(value, datetime)]
    assert one(engine, "string", [f"\u00a0 {time}\t" for time in times], "timestamp") == bare


def test_decimal_comma(engine: SparkSession) -> None:
    values = one(engine, "string", ["1.234,56", "1234,5", "-1.234.567", "12.50", "7"], "double", decimal_comma=True)
    assert values == [1234.56, 1234.5, -1234567.0, "value: '12.50' is not a double", 7.0]
    assert one(engine, "string", ["1.234", "5,0"], "int", decimal_comma=True) == [1234, 5]


def test_local_times_and_instants(engine: SparkSession) -> None:
    text = ["2020-07-01", "2020-07-01T12:30", "2020-07-01 12:30:15.25", "2020-07-01 12:30:00Z"]
    text += ["2020-07-01T12:30:00+02:00", "2020-07-01 12:30:00 -0500", "2020-03-08 02:30:00", "2020-11-01 01:30:00"]
    assert one(engine, "string", text, "timestamp", "America/New_York") == [
        at(2020, 7, 1, 4),
        at(2020, 7, 1, 16, 30),
        at(2020, 7, 1, 16, 30, 15, 250000),
        at(2020, 7, 1, 12, 30),
        at(2020, 7, 1, 10, 30),
        at(2020, 7, 1, 17, 30),
        at(2020, 3, 8, 7, 30),
        at(2020, 11, 1, 5, 30),
    ]
    noon = at(2020, 7, 1, 12)
    assert one(engine, "timestamp_ntz", [noon], "timestamp", "America/New_York") == [at(2020, 7, 1, 16)]
    assert one(engine, "timestamp", [noon.replace(tzinfo=UTC)], "timestamp", "America/New_York") == [noon]
    assert one(engine, "date", [date(2020, 7, 1)], "timestamp", "America/New_York") == [at(2020, 7, 1, 4)]


def test_days(engine: SparkSession) -> None:
    late = datetime(2020, 7, 1, 2, tzinfo=UTC)
    assert one(engine, "timestamp", [late], "date", "America/New_York") == [date(2020, 6, 30)]
    assert one(engine, "timestamp_ntz", [late.replace(tzinfo=None)], "date", "America/New_York") == [date(2020, 7, 1)]
    assert one(engine, "date", [date(2020, 7, 1), None], "date", "America/New_York") == [date(2020, 7, 1), None]
    assert one(engine, "string", ["2020-07-01", "2020-07-01T02:00:00Z", "1.7.2020"], "date", "America/New_York") == [
        date(2020, 7, 1),
        date(2020, 6, 30),
        "value: '1.7.2020' is not a date written as yyyy-MM-dd, years 1900 to 2199",
    ]


def test_declared_formats(engine: SparkSession) -> None:
    texts = ["31/12/2020 23:59", "2020-12-31", "31/02/2020 10:00", "1/2/2020 10:00"]
    values = one(engine, "string", texts, "timestamp", "Europe/London", timestamp_format="dd/MM/yyyy HH:mm")
    assert values[0] == at(2020, 12, 31, 23, 59)
    assert {text.partition("' ")[2] for text in values[1:]} == {
        "is not a timestamp written as dd/MM/yyyy HH:mm, years 1900 to 2199"
    }
    both = one(engine, "string", ["19970101", "19970101 0315"], "timestamp", "America/New_York",
               timestamp_format="yyyyMMdd HHmm", date_format="yyyyMMdd")  # fmt: skip
    assert both == [at(1997, 1, 1, 5), at(1997, 1, 1, 8, 15)]
    assert one(engine, "int", [19970101], "timestamp", date_format="yyyyMMdd") == [at(1997, 1, 1)]
    assert one(
        engine, "string", ["5 Mar 2020 3:04 PM", "2020-01-01"], "timestamp", timestamp_format="d MMM yyyy h:mm a"
    )[0] == at(2020, 3, 5, 15, 4)
    offset = one(engine, "string", ["2020-01-02T03:04:05+02:00"], "timestamp", "Asia/Tokyo",
                 timestamp_format="yyyy-MM-dd'T'HH:mm:ssXXX")  # fmt: skip
    assert offset == [at(2020, 1, 2, 1, 4, 5)]


def test_years_that_stand_for_never(engine: SparkSession) -> None:
    values = one(engine, "string", ["9999-12-31", "0001-01-01", "2199-12-31"], "timestamp", "Asia/Tokyo")
    assert values[2] == at(2199, 12, 30, 15)
    assert values[0] == "value: '9999-12-31' is not a timestamp written as yyyy-MM-dd HH:mm:ss, years 1900 to 2199"
    assert str(values[1]).startswith("value: '0001-01-01' is not")
    assert one(engine, "date", [date(9999, 12, 31)], "date")[0].startswith("value: '9999-12-31' is not a date")


def test_every_rule(engine: SparkSession) -> None:
    table = Table(
        grain="row",
        columns=(
            Column("a", "double", "", at_least=-90, at_most=90),
            Column("b", "int", "", above=0),
            Column("c", "string", "", one_of=("x", "y")),
            Column("d", "string", "", matches="[a-z]+|7"),
        ),
    )
    frame = engine.createDataFrame(
        [("-90", "1", "x", "abc"), ("90.5", "0", "z", "abc1"), ("-91", None, None, "7\n"), (None, "1", "x", "7")],
        "a string, b string, c string, d string",
    )
    landed = conform(frame, table, {name: name for name in "abcd"}, zone="UTC")
    assert [row[0] for row in landed.select("rejected_because").collect()] == [
        None,
        "a: 90.5 is above 90; b: 0 is not above 0; c: z is none of x, y; d: abc1 does not match [a-z]+|7",
        "a: -91 is below -90; d: 7 does not match [a-z]+|7",
        None,
    ]


def test_open_columns_are_text_and_unmapped_ones_null(engine: SparkSession) -> None:
    table = Table(
        grain="user", columns=(Column("user_id", "string", "", True), Column("joined_at", "timestamp", "")), open=True
    )
    frame = engine.createDataFrame([(1.0, 3.0, True)], "`the id` double, kids double, `is.vip` boolean")
    landed = conform(frame, table, {"user_id": "the id", "kids": "kids", "vip": "is.vip", "web": "'yes'"}, zone="UTC")
    accepted, _ = split(landed)
    assert accepted.dtypes == [("user_id", "string"), ("joined_at", "timestamp"), ("kids", "string"), ("vip", "string"),
                               ("web", "string")]  # fmt: skip
    assert tuple(accepted.collect()[0]) == ("1", None, "3", "true", "yes")
    assert landed.collect()[0].source_row is None


def test_the_source_row_of_a_rejected_row_holds_what_its_mapping_uses(engine: SparkSession) -> None:
    table = Table(grain="r", columns=(Column("n", "double", "", at_least=5), Column("t", "string", "")))
    frame = engine.createDataFrame(
        [("a", 1.0, True, 7, "bills.csv:2"), ("b", 5.0, True, 8, "bills.csv:3")],
        "`a b` string, x double, `is.vip` boolean, unused int, _position string",
    )
    landed = conform(frame, table, {"n": "x", "t": "concat(`a b`, `is.vip`)"}, zone="UTC").orderBy("n").collect()
    assert json.loads(landed[0].source_row) == {"a b": "a", "x": "1", "is.vip": "true"}
    assert [row.source_position for row in landed] == ["bills.csv:2", None]


def test_expressions(engine: SparkSession) -> None:
    frame = engine.createDataFrame(
        [("a", 1.0, 2.0, "select now()")], "`a b` string, x double, y double, `values` string"
    )
    table = Table(grain="r", columns=(Column("t", "string", ""), Column("n", "double", ""), Column("v", "string", "")))
    landed = conform(
        frame, table, {"t": "upper(`a b`)", "n": "x + Y", "v": "concat(`values`, ' explode(')"}, zone="UTC"
    )
    assert tuple(landed.collect()[0])[:3] == ("A", 3.0, "select now() explode(")


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("Recept No", "did you mean 'Receipt No'"),
        ("amout + 1", "did you mean 'amount'"),
        ("amount +", "cannot be read"),
        ("nofunction(amount)", "cannot be read"),
        ("sum(amount)", "sums up many rows"),
        ("amount - avg(amount)", "sums up many rows"),
        ("row_number() over (order by amount)", "'row_number', which looks at other rows"),
        ("explode(array(amount))", "'explode', which makes several rows"),
        ("(select max(amount) from other)", "'select', which reads another table"),
        ("(from other)", "'from', which reads another table"),
        ("rand()", "'rand', which gives something else every time"),
        ("current_date", "'current_date', which gives something else every time"),
        ("array(amount)", "gives no plain value"),
        ("*", "A mapping"),
    ],
)
def test_mappings_that_cannot_be(engine: SparkSession, mapping: str, words: str) -> None:
    frame = engine.createDataFrame([("1", 1.0)], "`Receipt No` string, amount double")
    with pytest.raises(MappingError) as caught:
        conform(frame, LINES, {"value": mapping}, zone="UTC", name="raw/line_items")
    assert words in str(caught.value)
    assert f"raw/line_items, value = {mapping!r}" in str(caught.value)


def test_a_required_column_without_a_mapping(spark: SparkSession) -> None:
    with pytest.raises(MappingError) as caught:
        conform(bills(spark), BILLS, {"bill_id": "No", "amount": "Total"}, zone="UTC", name="raw/bills")
    assert "billed_at" in str(caught.value)
    assert "'Date'" in str(caught.value)


def test_made_bill_ids_are_the_same_every_time_and_everywhere(spark: SparkSession, jvm: SparkSession) -> None:
    rows = [
        ("1", "u", "2020-01-01", "1.0", None),
        ("2", "u", "2020-01-01", "1.0", None),
        ("3", None, "2020-01-01", "1.0", "1"),
        ("4", "u", "2020-01-01", "1.5", None),
        ("5", "u", "2020-01-01", "1.0", "bad"),
    ]
    mapping = {name: source for name, source in MAPPING.items() if name != "bill_id"}
    outcomes = []
    for session, order in ((spark, rows), (jvm, rows), (spark, rows[::-1])):
        landed = conform(bills(session, *order), BILLS, mapping, zone="UTC")
        accepted, rejected = split(landed)
        assert rejected.count() == 1
        outcomes.append(sorted(tuple(row) for row in accepted.select("bill_id", "amount").collect()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    ids = [bill_id for bill_id, _ in outcomes[0]]
    assert len(set(ids)) == 4
    assert sorted(bill_id[-2:] for bill_id in ids) == ["-1", "-1", "-1", "-2"]
    assert {len(bill_id) for bill_id in ids} == {34}


def test_only_bills_get_ids() -> None:
    assert generated_key(BILLS) == "bill_id"
    assert generated_key(LINES) is None


def test_a_row_that_its_source_complains_of(engine: SparkSession) -> None:
    frame = engine.createDataFrame(
        [("1", None), ("2", "has 3 values, not 1: '2,3,4'")], "a string, _corrupt_record string"
    )
    landed = conform(frame, LINES, {"value": "a"}, zone="UTC").collect()
    assert [row.rejected_because for row in landed] == [None, "the row has 3 values, not 1: '2,3,4'"]
    assert json.loads(landed[1].source_row) == {"a": "2"}
