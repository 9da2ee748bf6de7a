"""MySQL's family: types, zero dates, parts, refusals. On a real MariaDB, which only the system's packages have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import sql
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, READER, Server, mariadb, peaks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KINDS = """
create table `Kinds` (
  `Receipt No` bigint unsigned primary key, total decimal(12,2), huge decimal(50,3), whole decimal(10,0) unsigned,
  n tinyint, k int unsigned, big bigint, x float, y double, ok boolean, bits bit(9), name varchar(20), code char(4),
  at timestamp null, local datetime(6), day date, clock time, born year, doc json, raw varbinary(9), pic blob,
  note text, kind enum('small', 'large'), marks set('a', 'b'), `100%` text
)"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, mariadb() as database:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        database.run(
            """create table bills (id bigint primary key, user_id varchar(20), total decimal(10,2), changed_at datetime,
               index (changed_at))""",
            """insert into bills select seq, if(seq % 10 > 0, concat('u', seq % 100), null), seq / 100,
               timestamp '2024-01-01 00:00:00' + interval seq minute from seq_1_to_30000""",
        )
        yield database


def read(spark: SparkSession, server: Server, **options: Any) -> DataFrame:
    return sql.read(spark, server.location(), sql.Options(**(LOGIN | options)))


@pytest.mark.parametrize("source", [{"table": "Kinds"}, {"query": "select * from `Kinds` where 1 % 2 = 1"}])
def test_types(spark: SparkSession, server: Server, source: dict[str, str]) -> None:
    server.run(
        "drop table if exists `Kinds`",
        KINDS,
        "set time_zone = '+02:00'",
        r"""insert into `Kinds` values (18446744073709551615, 1.50, 123, 7, -1, 4000000000, -5, 1.5, 2.5, true,
           b'100000001', 'Zoë ☕', 'ab', '2024-03-31 02:30:00', '2024-03-31 02:30:00.123456', '2024-02-29',
           '-30:15:00', 1999, '{"a": [1]}', x'00ff', x'dead', 'long', 'large', 'a,b', '50%')""",
        "insert into `Kinds` (`Receipt No`) values (8)",
    )
    frame = read(spark, server, **source).orderBy("Receipt No")
    assert [kind for _, kind in frame.dtypes] == [
        "decimal(20,0)",
        "decimal(12,2)",
        "string",
        "decimal(10,0)",
        *["bigint"] * 3,
        "double",
        "double",
        "bigint",
        "bigint",
        "string",
        "string",
        "timestamp",
        "timestamp_ntz",
        "date",
        "string",
        "bigint",
        "string",
        "binary",
        "binary",
        *["string"] * 4,
        "array<string>",
        *["string"] * 2,
    ]
    empty, full = frame.selectExpr("cast(at as string) as instant", "*").collect()
    assert full.instant == "2024-03-31 00:30:00"
    position = f"Kinds Receipt No={2**64 - 1}" if "table" in source else None
    assert tuple(value for name, value in full.asDict().items() if name not in ("instant", "at")) == (
        Decimal(2**64 - 1),
        Decimal("1.50"),
        "123.000",
        Decimal(7),
        -1,
        4_000_000_000,
        -5,
        1.5,
        2.5,
        1,
        257,
        "Zoë ☕",
        "ab",
        dt.datetime(2024, 3, 31, 2, 30, 0, 123456),  # noqa: DTZ001
        dt.date(2024, 2, 29),
        "-30:15:00",
        1999,
        '{"a": [1]}',
        bytearray(b"\x00\xff"),
        bytearray(b"\xde\xad"),
        "long",
        "large",
        "a,b",
        "50%",
        None,
        None,
        position,
    )
    assert {value for name, value in empty.asDict().items() if name not in ("Receipt No", "_position")} == {None}


def test_days_that_are_none(spark: SparkSession, server: Server) -> None:
    server.run(
        "create table days (id int primary key, day date, at datetime)",
        """insert into days values (1, '0000-00-00', '0000-00-00 00:00:00'), (2, '2024-02-00', '2024-00-01 10:00:00'),
           (3, '2024-02-01', '2024-02-01 10:00:00')""",
    )
    rows = {row.id: row for row in read(spark, server, table="days").collect()}
    assert (rows[1].day, rows[1].at, rows[1]._corrupt_record) == (None, None, None)
    complaint = "day: '2024-02-00' is no date32[day]; at: '2024-00-01 10:00:00' is no timestamp[us]"
    assert (rows[2].day, rows[2].at, rows[2]._corrupt_record) == (None, None, complaint)
    assert (rows[3].day, rows[3]._corrupt_record, rows[3]._position) == (dt.date(2024, 2, 1), None, "days id=3")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"parts": 7, "fetch_rows": 100},
        {"parts": 5, "split_by": "user_id"},
        {"parts": 5, "split_by": "changed_at", "connections": 2},
        {"parts": 6, "split_by": "total"},
        {"table": None, "query": "select * from bills;", "split_by": "id", "parts": 3},
        {"table": "bills", "ssl_mode": "disable"},
    ],
)
def test_every_row_comes_once(spark: SparkSession, server: Server, options: dict[str, Any]) -> None:
    frame = read(spark, server, **({"table": "bills"} | options))
    totals = frame.selectExpr("count(*)", "count(distinct id)", "sum(total)", "count(user_id)").collect()[0]
    assert tuple(totals) == (30_000, 30_000, Decimal("4500150.00"), 27_000)


def test_newer_rows(spark: SparkSession, server: Server) -> None:
    options = sql.Options(table="bills", **LOGIN)
    than = dt.datetime(2024, 1, 21, 19, 0)  # noqa: DTZ001
    for parts in (None, 3):
        chosen = options.model_copy(update={"parts": parts})
        frame = sql.read_newer(spark, server.location(), chosen, "changed_at", than)
        assert sorted(row.id for row in frame.collect()) == list(range(29_940, 30_001))


def test_what_is_wrong_is_said(spark: SparkSession, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(location: str, **options: Any) -> str:
        with pytest.raises(SourceError) as caught:
            sql.read(spark, location, sql.Options(**(LOGIN | options)))
        return str(caught.value)

    here = server.location()
    assert "did you mean 'bills'?" in refusal(here, table="bill")
    assert "refuses the user" in refusal(here, table="bills", password=None)
    assert "refuses the user" in refusal(server.location("other"), table="bills")
    assert "cannot be reached" in refusal("mysql://127.0.0.1:1/shop", table="bills")
    assert "no such table for this user" in refusal(here, query="select * from nope")
    assert "SQL syntax" in refusal(here, query="selec 1")
    assert "Duplicate column" in refusal(here, query="select 1 as a, 2 as a")
    with pytest.raises(Exception, match="takes too long"):
        read(spark, server, query="select sleep(3) as slept", timeout_seconds=1).collect()
    monkeypatch.setenv(PASSWORD_ENV, "wrong")
    message = refusal(here, table="bills")
    assert "refuses the user" in message
    assert PASSWORD not in message


def test_encryption_is_as_asked(spark: SparkSession, server: Server) -> None:
    query = "select variable_value as cipher from information_schema.session_status where variable_name = 'Ssl_cipher'"
    authority = server.authority
    modes = (
        ("disable", None),
        ("prefer", None),
        ("require", None),
        ("verify-ca", authority),
        ("verify-full", authority),
    )
    for mode, trusted in modes:
        rows = read(spark, server, query=query, ssl_mode=mode, ssl_ca=trusted).collect()
        assert [bool(row.cipher) for row in rows] == [mode != "disable"], mode
    elsewhere = server.location().replace("127.0.0.1", "localhost")
    for location, trusted in ((elsewhere, authority), (server.location(), None)):
        options = sql.Options(table="bills", ssl_mode="verify-full", ssl_ca=trusted, **LOGIN)
        with pytest.raises(SourceError, match="cannot be encrypted as asked"):
            sql.read(spark, location, options)


def test_connections_only_read(spark: SparkSession, server: Server) -> None:
    from sqlalchemy import exc

    from capflow_assets.sources.sql import database_access

    server.run(f"grant all on shop.* to {READER}@'127.0.0.1'", "create table touched (a int)")
    access = sql.Options(table="touched", **LOGIN).access()
    with (
        pytest.raises((SourceError, exc.DBAPIError), match="READ ONLY"),
        database_access.opened(server.location(), access) as it,
    ):
        it.exec_driver_sql("insert into touched values (1)")


def test_memory_does_not_grow_with_the_table(server: Server) -> None:
    small, large = peaks(server, 300_000, "select seq as n, repeat('x', 500) as t from seq_1_to_{}")
    # The rows are 150 MB.
    assert large - small < 30, (small, large)
