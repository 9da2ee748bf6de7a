"""Times that expressions make and read: local ones are of the customer's zone, instants are instants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from capflow_assets.contract import Column, Table
from capflow_assets.landing import row_expressions
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.row_expressions.kinds import Meaning
from capflow_assets_tests.landing.expression_cases import EQUAL
from capflow_assets_tests.landing.expression_cases import ROWS as TYPED_ROWS
from capflow_assets_tests.landing.expression_cases import SCHEMA as TYPED
from capflow_assets_tests.landing.mapped_times import EXPRESSIONS, ROWS, SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, SparkSession

ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe")
# On, before and after the days of 2024 on which a clock of one of the zones changes; none that it shows twice or never.
LOCAL = [datetime(2024, *parts) for parts in (  # noqa: DTZ001
    (1, 15, 0), (3, 9, 23), (3, 10, 0), (3, 10, 4), (3, 31, 0), (3, 31, 4), (4, 6, 23), (4, 7, 0), (4, 7, 3), (7, 1, 0),
    (10, 5, 23), (10, 6, 0), (10, 6, 4), (10, 27, 0), (10, 27, 4), (11, 3, 0), (11, 3, 3), (12, 31, 23),
)]  # fmt: skip


@pytest.fixture(params=["spark", "jvm"])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def landed(frame: DataFrame, zone: str, mapping: dict[str, str], to: str = "timestamp") -> dict[str, list[Any]]:
    """The values of each mapped column, in the order of column ``i``."""
    table = Table("row", (*(Column(name, to, "") for name in mapping), Column("i", "int", "")))
    rows = conform(frame, table, {**mapping, "i": "i"}, zone=zone).toPandas().sort_values("i")
    assert rows["rejected_because"].isna().all(), rows["rejected_because"].tolist()
    return {name: rows[name].tolist() for name in mapping}


def instants(values: Sequence[Any]) -> list[datetime]:
    return [value.to_pydatetime().replace(tzinfo=UTC) for value in values]


@pytest.mark.parametrize(
    ("name", "zones"),
    [("spark", ZONES), ("jvm", ZONES[3:]), pytest.param("jvm", ZONES[:3], marks=pytest.mark.long)],
)
def test_local_text_and_instants_land_where_python_has_them(
    name: str, zones: Sequence[str], request: pytest.FixtureRequest
) -> None:
    engine: SparkSession = request.getfixturevalue(name)
    columns = "i int, day string, hour string, seconds string, whole bigint, at timestamp, here timestamp_ntz"
    for zone in zones:
        here = ZoneInfo(zone)
        moments = [local.replace(tzinfo=here).astimezone(UTC) for local in LOCAL]
        rows = [(place, f"{local:%m/%d/%y}", f"{local:%H:%M}", str(int(at.timestamp())), int(at.timestamp()), at, local)
                for place, (local, at) in enumerate(zip(LOCAL, moments, strict=True))]  # fmt: skip
        frame = engine.createDataFrame(rows, columns)
        times = landed(frame, zone, {
            "by_pattern": "to_timestamp(day || ' ' || hour, 'MM/dd/yy HH:mm')",
            "by_epoch": "from_unixtime(seconds)",
            "by_seconds": "timestamp_seconds(whole)",
            "by_cast": "cast(here as timestamp)",
            "by_text": "cast(here as string)",
            "as_it_is": "coalesce(at, here)",
            "and_back": "to_timestamp(date_format(at, 'yyyy-MM-dd HH:mm'))",
            "from_utc": f"from_utc_timestamp(at, '{zone}')",
        })  # fmt: skip
        for name, values in times.items():
            assert instants(values) == moments, (zone, name)
        days = landed(frame, zone, {"day_alone": "to_timestamp(day, 'MM/dd/yy')", "cut": "date_trunc('day', at)"})
        midnights = [datetime(local.year, local.month, local.day, tzinfo=here).astimezone(UTC) for local in LOCAL]
        assert [instants(values) for values in days.values()] == [midnights, midnights], zone
        of_day = landed(frame, zone, {"a": "to_date(at)", "b": "to_date(day, 'MM/dd/yy')"}, "date")
        assert list(of_day.values()) == [[local.date() for local in LOCAL]] * 2, zone
        assert landed(frame, zone, {"hour_of_day": "hour(at)"}, "int")["hour_of_day"] == [local.hour for local in LOCAL]


def test_an_hour_that_a_clock_shows_twice_keeps_its_instant(engine: SparkSession) -> None:
    moments = [datetime(2024, 10, 27, 0, 30, tzinfo=UTC) + timedelta(hours=hours) for hours in range(3)]
    rows = [(place, int(at.timestamp()), at) for place, at in enumerate(moments)]
    frame = engine.createDataFrame(rows, "i int, x bigint, at timestamp")
    mapping = {"a": "from_unixtime(x)", "b": "from_utc_timestamp(at, 'Europe/Berlin')", "c": "at + interval 0 hours"}
    times = landed(frame, "Europe/Berlin", mapping)
    assert [instants(values) for values in times.values()] == [moments] * 3


def _as_numbers(frame: DataFrame, columns: list[Expression], zone: str) -> list[tuple[Any, ...]]:
    """The values, times as microseconds since 1970: local ones as of ``zone``."""
    from pyspark.sql import functions as F

    selected = frame.select(*(column.alias(f"c{place}") for place, column in enumerate(columns)))
    plain = []
    for name, kind in selected.dtypes:
        moment = F.col(name).cast("timestamp")
        moment = F.to_utc_timestamp(moment, zone) if kind == "timestamp_ntz" and zone else moment
        plain.append(F.unix_micros(moment) if kind.startswith("timestamp") else F.col(name).cast("string"))
    return [tuple(row) for row in selected.select(*plain).collect()]


def _equal_to_a_session_of_the_zone(spark: SparkSession, jvm: SparkSession, zone: str, texts: Sequence[str]) -> None:
    from pyspark.sql import functions as F

    results = []
    for session in (spark, jvm):
        frame = session.createDataFrame(ROWS, SCHEMA).coalesce(1)
        meaning = Meaning({field.name: field.dataType for field in frame.schema.fields}, zone)
        expressions = [row_expressions.converted(text, frame.columns, meaning)[0] for text in texts]
        results.append(_as_numbers(frame, expressions, zone))
    jvm.conf.set("spark.sql.session.timeZone", zone)
    try:
        frame = jvm.createDataFrame(ROWS, SCHEMA).coalesce(1)
        wanted = _as_numbers(frame, [F.expr(text) for text in texts], "")
    finally:
        jvm.conf.set("spark.sql.session.timeZone", "UTC")
    for place, text in enumerate(texts):
        values = [[row[place] for row in rows] for rows in (wanted, *results)]
        assert values[0] == values[1] == values[2], (zone, text, values)


def test_expressions_mean_what_spark_makes_of_them_in_the_customers_zone(
    spark: SparkSession, jvm: SparkSession
) -> None:
    _equal_to_a_session_of_the_zone(spark, jvm, "America/New_York", EXPRESSIONS)


@pytest.mark.long
@pytest.mark.parametrize("zone", ["UTC", *ZONES[1:3]])
def test_all_of_them_in_other_zones(spark: SparkSession, jvm: SparkSession, zone: str) -> None:
    _equal_to_a_session_of_the_zone(spark, jvm, zone, EXPRESSIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A text that is said to be of another zone; a local time of one zone as another's clock shows it.
        ("to_utc_timestamp(text, 'Asia/Tokyo')", "2024-07-01 01:00:00"),
        ("to_utc_timestamp(to_timestamp(text), 'Asia/Tokyo')", "2024-07-01 01:00:00"),
        ("to_utc_timestamp(at, 'UTC')", "2024-07-01 12:00:00"),
        ("from_utc_timestamp(text, 'America/New_York')", "2024-07-01 10:00:00"),
        ("from_utc_timestamp(to_timestamp(text), 'America/New_York')", "2024-07-01 10:00:00"),
        ("from_utc_timestamp(timestamp_seconds(1719835200), 'America/New_York')", "2024-07-01 12:00:00"),
        ("convert_timezone('UTC', 'America/New_York', here)", "2024-07-01 10:00:00"),
        ("to_timestamp(text || '+02:00')", "2024-07-01 08:00:00"),
        ("to_timestamp(text || ' +0200', 'yyyy-MM-dd HH:mm:ss Z')", "2024-07-01 08:00:00"),
        ("timestamp '2024-07-01 10:00:00'", "2024-07-01 14:00:00"),
        ("timestamp '2024-07-01 10:00:00Z'", "2024-07-01 10:00:00"),
        ("case when at > '2024-07-01 07:30:00' then at end", "2024-07-01 12:00:00"),
        ("coalesce(nullif(text, ''), '2024-01-01')", "2024-07-01 14:00:00"),
    ],
)
def test_what_names_its_zone_is_read_by_it(engine: SparkSession, text: str, expected: str) -> None:
    row = (0, "2024-07-01 10:00:00", datetime(2024, 7, 1, 12, tzinfo=UTC), datetime(2024, 7, 1, 10))  # noqa: DTZ001
    frame = engine.createDataFrame([row], "i int, text string, at timestamp, here timestamp_ntz")
    values = landed(frame, "America/New_York", {"value": text})["value"]
    assert instants(values) == [datetime.fromisoformat(f"{expected}+00:00")]


def test_where_the_columns_are_typed_and_the_zone_is_utc_nothing_changes(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    frame = spark.createDataFrame(TYPED_ROWS, TYPED).coalesce(1)
    meaning = Meaning({field.name: field.dataType for field in frame.schema.fields})
    ours = [row_expressions.converted(text, frame.columns, meaning)[0] for text in EQUAL]
    results = []
    for columns in (ours, [F.expr(text) for text in EQUAL]):
        selected = frame.select(*(column.alias(f"c{place}") for place, column in enumerate(columns)))
        results.append([tuple(map(repr, row)) for row in selected.collect()])
    for place, text in enumerate(EQUAL):
        assert [row[place] for row in results[0]] == [row[place] for row in results[1]], text
