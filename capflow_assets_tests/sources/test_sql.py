"""SQL databases as customers have them: types, parts, one moment, dirt, refusals. On a real PostgreSQL, and SQLite."""

from __future__ import annotations

import datetime as dt
import gc
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from capflow_assets.errors import SourceError
from capflow_assets.sources import sql
from capflow_assets.sources.sql import part_ranges
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, Server, peaks, postgres

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

UTC = dt.UTC
OWN = ["_unfit_columns", "_corrupt_record", "_position"]
KINDS = """
create type size as enum ('small', 'large');
create table "Kinds" (
  "Receipt No" bigint primary key, total numeric(12,2), rate numeric, huge numeric(50,3), paid money, n smallint, k int,
  x real, y double precision, ok boolean, name varchar(20), code char(4), at timestamptz, local timestamp, day date,
  clock time, took interval, id uuid, doc jsonb, tags text[], raw bytea, kind size, "user" text, "100%" text,
  _position text, "total" text
)"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, postgres() as database:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        yield database


@pytest.fixture(scope="module")
def bills(server: Server) -> Server:
    """``crm.bills``: 30,000 rows of known sums, a key, an index on ``changed_at``, a user who is null at times."""
    server.run(
        "create schema crm",
        """create table crm.bills (id bigint primary key, user_id text, total numeric(10,2), changed_at timestamptz)""",
        """insert into crm.bills select i, case when i % 10 > 0 then 'u' || i % 100 end, i / 100.0,
           timestamptz '2024-01-01 00:00Z' + i * interval '1 minute' from generate_series(1, 30000) i""",
        "create index on crm.bills (changed_at)",
        "analyze crm.bills",
    )
    return server


def read(spark: SparkSession, server: Server, **options: Any) -> DataFrame:
    return sql.read(spark, server.location(), sql.Options(**(LOGIN | options)))


def refusal(spark: SparkSession, location: str, **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        sql.read(spark, location, sql.Options(**(LOGIN | options)))
    return str(caught.value)


def test_types(spark: SparkSession, server: Server) -> None:
    create = KINDS.replace(', "total" text', "")
    server.run(
        *create.split(";"),
        """insert into "Kinds" values (7, 1.50, 1.25, 123, 12.5, 1, 2, 1.5, 2.5, true, 'Zoë ☕', 'ab',
           '2024-03-31 02:30:00+02', '2024-03-31 02:30:00.123456', '2024-02-29', '08:15', '1 day 02:00',
           'a9e18ff8-d093-4b44-a810-0c2e3912938a', '{"a": [1]}', array['x', 'y,z'], '\\xdead',
           'large', 'u', '50%', 'p')""",
        """insert into "Kinds" ("Receipt No") values (8)""",
    )
    frame = read(spark, server, table="Kinds").orderBy("Receipt No")
    assert dict(frame.dtypes) == {
        "Receipt No": "bigint",
        "total": "decimal(12,2)",
        "rate": "decimal(38,18)",
        "huge": "string",
        "paid": "decimal(19,2)",
        "n": "smallint",
        "k": "int",
        "x": "float",
        "y": "double",
        "ok": "boolean",
        "name": "string",
        "code": "string",
        "at": "timestamp",
        "local": "timestamp_ntz",
        "day": "date",
        "clock": "string",
        "took": "string",
        "id": "string",
        "doc": "string",
        "tags": "string",
        "raw": "binary",
        "kind": "string",
        "user": "string",
        "100%": "string",
        "_position_25": "string",
        "_unfit_columns": "array<string>",
        "_corrupt_record": "string",
        "_position": "string",
    }
    full, empty = frame.selectExpr("cast(at as string) as instant", "*").collect()
    assert full.instant == "2024-03-31 00:30:00"
    assert tuple(full)[1:] == (
        7,
        Decimal("1.50"),
        Decimal("1.25"),
        "123.000",
        Decimal("12.50"),
        1,
        2,
        1.5,
        2.5,
        True,
        "Zoë ☕",
        "ab",
        full["at"],
        dt.datetime(2024, 3, 31, 2, 30, 0, 123456),  # noqa: DTZ001
        dt.date(2024, 2, 29),
        "08:15:00",
        "1 day 02:00:00",
        "a9e18ff8-d093-4b44-a810-0c2e3912938a",
        '{"a": [1]}',
        '["x","y,z"]',
        bytearray(b"\xde\xad"),
        "large",
        "u",
        "50%",
        "p",
        None,
        None,
        "Kinds Receipt No=7",
    )
    assert {value for name, value in empty.asDict().items() if name not in ("Receipt No", "_position")} == {None}


def test_dirt_is_reported_row_by_row(spark: SparkSession, server: Server) -> None:
    server.run(
        "create table dirt (id int primary key, price numeric(8,2), rate numeric, day date, at timestamptz)",
        """insert into dirt values (1, 9.99, 1, '2024-01-01', '2024-01-01 00:00Z'),
           (2, 'NaN', 'Infinity', '2024-01-02', '2024-01-02 00:00Z'),
           (3, 1, 0.12345678901234567890123, 'infinity', '-infinity'), (4, 2, 1e25, '0044-03-15 BC', '12000-01-01Z')""",
    )
    rows = {row.id: row for row in read(spark, server, table="dirt").collect()}
    assert rows[1]._corrupt_record is None
    complaint = "price: 'NaN' is no decimal128(8, 2); rate: 'Infinity' is no decimal128(38, 18)"
    assert (rows[2].price, rows[2].rate, rows[2]._corrupt_record) == (None, None, complaint)
    assert rows[2].day == dt.date(2024, 1, 2)
    assert (rows[3].day, rows[3].at, rows[3]._corrupt_record) == (None, None, None)
    assert rows[3].rate == Decimal("0.123456789012345679")
    assert (rows[4].day, rows[4].at, rows[4].rate) == (None, None, None)
    assert "rate: '10000000000000000000000000" in rows[4]._corrupt_record
    assert rows[4]._position == "dirt id=4"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"parts": 7},
        {"parts": 7, "split_by": "id"},
        {"parts": 5, "split_by": "user_id"},
        {"parts": 5, "split_by": "changed_at"},
        {"parts": 6, "split_by": "total", "connections": 1},
        {"table": None, "query": "select * from crm.bills;", "split_by": "id", "parts": 3},
        {"table": None, "query": "select * from crm.bills -- all of them\n"},
        {"table": "shown"},
        {"table": "by_day"},
        {"consistent": False},
    ],
)
def test_every_row_comes_once(spark: SparkSession, bills: Server, options: dict[str, Any]) -> None:
    bills.run(
        "create or replace view shown as select * from crm.bills",
        "create table if not exists by_day (like crm.bills) partition by hash (id)",
        "create table if not exists by_day_0 partition of by_day for values with (modulus 2, remainder 0)",
        "create table if not exists by_day_1 partition of by_day for values with (modulus 2, remainder 1)",
        "truncate by_day",
        "insert into by_day select * from crm.bills",
    )
    frame = read(spark, bills, **({"table": "crm.bills"} | options))
    totals = frame.selectExpr("count(*)", "count(distinct id)", "sum(total)", "count(user_id)").collect()[0]
    assert tuple(totals) == (30_000, 30_000, Decimal("4500150.00"), 27_000)


def test_parts_are_of_one_size(bills: Server) -> None:
    from capflow_assets.sources.sql import database_access, relations

    access = sql.Options(table="crm.bills", **LOGIN).access()
    dialect = database_access.dialect_of(bills.location())
    with database_access.opened(bills.location(), access) as connection:
        relation = relations.relation_of(connection, dialect, bills.location(), "crm.bills", "")
        for split_by in (None, "id", "user_id", "changed_at"):
            conditions = part_ranges.cut(connection, dialect, relation, split_by, 5)
            assert len(conditions) == 5
            sizes = [bills.run(f"select count(*) from crm.bills where {condition}")[0][0] for condition in conditions]
            assert sum(sizes) == 30_000
            assert max(sizes) < 9_500, (split_by, sizes)


def test_where_rows_stand(spark: SparkSession, bills: Server) -> None:
    bills.run(
        "create table lines (bill bigint, line int, item text, primary key (bill, line))",
        "insert into lines values (1, 2, 'milk')",
        "create table loose (item text)",
        "insert into loose values ('milk'), ('bread')",
    )

    def positions(**options: Any) -> list[str | None]:
        return sorted((row[0] for row in read(spark, bills, **options).select("_position").collect()), key=str)

    assert positions(table="lines") == ["lines bill=1 line=2"]
    assert positions(table="loose") == ["loose ctid=(0,1)", "loose ctid=(0,2)"]
    assert positions(query="select item from loose", split_by="item") == ["query item=bread", "query item=milk"]
    assert positions(query="select item from loose") == [None, None]
    assert read(spark, bills, table="loose").columns == ["item", *OWN]


def test_all_parts_and_looks_see_one_moment(spark: SparkSession, bills: Server) -> None:
    bills.run("create table moving as select i as id from generate_series(1, 1000) i")
    frame = read(spark, bills, table="moving", parts=4)
    derived = frame.where("id > 0").select("id")
    assert derived.count() == 1000
    bills.run("set lock_timeout = '5s'", "alter table moving add column more int")
    bills.run("delete from moving where id > 500", "update moving set id = -id where id = 1")
    assert frame.count() == 1000
    del frame
    gc.collect()
    assert derived.count() == 1000
    held = "select count(*) from pg_stat_activity where application_name = 'capflow' and state like 'idle in%'"
    assert bills.run(held)[0][0] >= 1
    del derived
    gc.collect()
    until = time.monotonic() + 60  # the server ends a session some moments after the client has closed it
    while bills.run(held)[0][0] and time.monotonic() < until:
        time.sleep(0.05)
    assert bills.run(held)[0][0] == 0
    assert read(spark, bills, table="moving").count() == 500


def test_a_moment_that_ended_is_reported(spark: SparkSession, bills: Server) -> None:
    frame = read(spark, bills, table="crm.bills")
    kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'capflow'"
    bills.run(kill)
    with pytest.raises(Exception, match="The snapshot of the read has ended"):
        frame.count()


def test_connections_only_read_and_are_few(spark: SparkSession, bills: Server) -> None:
    bills.run("create sequence counted")
    with pytest.raises(Exception, match="read-only transaction"):
        read(spark, bills, user="postgres", password=None, query="select nextval('counted') as n").collect()
    active = "state = 'active' and backend_type = 'client backend'"
    query = f"select count(*) as busy from pg_stat_activity, pg_sleep(0.2) where {active}"
    cut = f"select n, ({query}) as busy from generate_series(1, 12) n"
    frame = read(spark, bills, query=cut, split_by="n", parts=6, connections=2)
    assert frame.selectExpr("max(busy)").collect()[0][0] <= 2


def test_newer_rows_are_looked_for_by_the_database(spark: SparkSession, bills: Server) -> None:
    than = dt.datetime(2024, 1, 21, 19, 0, tzinfo=UTC)
    options = sql.Options(table="crm.bills", **LOGIN)
    frame = sql.read_newer(spark, bills.location(), options, "changed_at", than)
    assert sorted(row.id for row in frame.collect()) == list(range(29_940, 30_001))
    by_number = sql.read_newer(spark, bills.location(), options.model_copy(update={"parts": 3}), "id", 29_990)
    assert sorted(row.id for row in by_number.collect()) == list(range(29_990, 30_001))
    by_text = sql.read_newer(spark, bills.location(), options, "user_id", "u99")
    assert by_text.count() == 300
    assert sql.read_newer(spark, bills.location(), options, "id", 99_999).count() == 0
    with pytest.raises(SourceError, match="did you mean 'changed_at'"):
        sql.read_newer(spark, bills.location(), options, "change_at", than)


def test_newer_rows_come_by_the_index(bills: Server) -> None:
    from capflow_assets.sources.sql import database_access, relations

    access = sql.Options(table="crm.bills", **LOGIN).access()
    dialect = database_access.dialect_of(bills.location())
    than = dt.datetime(2024, 1, 21, tzinfo=UTC)
    with database_access.opened(bills.location(), access) as connection:
        relation = relations.relation_of(connection, dialect, bills.location(), "crm.bills", "")
        conditions = part_ranges.newer(connection, dialect, relation, "changed_at", than, 2)
    assert len(conditions) == 2
    for condition in conditions:
        plan = "\n".join(row[0] for row in bills.run(f"explain select * from crm.bills where {condition}"))
        assert "bills_changed_at_idx" in plan
        assert "Seq Scan" not in plan


def test_empty_wide_and_odd(spark: SparkSession, server: Server) -> None:
    wide = ", ".join(f"c{n} int" for n in range(1200))
    server.run(
        f"create table wide ({wide})", "insert into wide (c0, c1199) values (1, 2)", "create table nothing (a int)"
    )
    row = read(spark, server, table="wide").select("c0", "c1199", "c5").collect()[0]
    assert tuple(row) == (1, 2, None)
    empty = read(spark, server, table="nothing")
    assert (empty.columns, empty.count()) == (["a", *OWN], 0)
    server.run(
        'create table "odd.name" ("a""b" int, "A" text, "a" text)', """insert into "odd.name" values (1, 'x', 'y')"""
    )
    odd = read(spark, server, table='public."odd.name"')
    assert odd.columns == ['a"b', "A", "a_3", *OWN]
    assert tuple(odd.collect()[0])[:3] == (1, "x", "y")


def test_what_is_wrong_is_said(spark: SparkSession, bills: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    here = bills.location()
    assert "did you mean 'crm.bills'?" in refusal(spark, here, table="crm.bill")
    assert "refuses the user" in refusal(spark, here, table="crm.bills", password=None)
    assert "There is no such database" in refusal(spark, bills.location("shopp"), table="crm.bills")
    assert "cannot be reached" in refusal(spark, "postgresql://127.0.0.1:1/shop", table="crm.bills")
    assert "no such table for this user" in refusal(spark, here, query="select * from nope")
    assert "syntax error" in refusal(spark, here, query="selec 1")
    assert "syntax error" in refusal(spark, here, query="delete from crm.bills")
    assert "one name" in refusal(spark, here, query="select 1 as a, 2 as a")
    assert "did you mean 'total'?" in refusal(spark, here, table="crm.bills", split_by="totl")
    by_truth = "select id > 3 as ok from crm.bills"
    assert "function min(boolean)" in refusal(spark, here, query=by_truth, split_by="ok", parts=2)
    slow = "select pg_sleep(3)::text as slept"
    frame = read(spark, bills, query=slow, timeout_seconds=1)
    with pytest.raises(Exception, match="takes too long"):
        frame.collect()
    assert "cannot be encrypted as asked" in refusal(spark, here, table="crm.bills", ssl_mode="require")
    assert "no driver for frob" in refusal(spark, "frob://host/shop", table="bills")
    assert "no address" in refusal(spark, "postgresql", table="bills")
    assert "lacks its host" in refusal(spark, "postgresql:///shop", table="bills")
    assert "not known" in refusal(spark, here + "?options=-c%20x", table="bills")
    monkeypatch.delenv(PASSWORD_ENV)
    assert PASSWORD_ENV in refusal(spark, here, table="crm.bills")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"table": "a", "query": "select 1"},
        {"table": "a", "password": PASSWORD},
        {"table": "a", "password": {"env": PASSWORD}},
        {"table": "a", "password": {"value": PASSWORD}},
        {"table": "a", "parts": 0},
        {"table": "a", "host": "x"},
    ],
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        sql.Options(**wrong)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(caught.value.errors())


def test_the_same_on_a_jvm(spark: SparkSession, jvm: SparkSession, bills: Server) -> None:
    # The JVM's workers have the environment of its start, and the owner needs no password.
    options = sql.Options(table="crm.bills", user="postgres", parts=3)
    sums = ("count(*)", "sum(total)", "count(user_id)", "max(cast(changed_at as string))", "min(_position)")
    here, there = (
        sql.read(session, bills.location(), options).selectExpr(*sums).collect()[0] for session in (spark, jvm)
    )
    assert tuple(here) == tuple(there)
    assert here[0] == 30_000


def test_sqlite_stands_for_every_other_database(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "shop 1.db"
    with sqlite3.connect(file) as database:
        database.execute(
            "create table bills "
            "(id integer primary key, total decimal(10,2), at timestamp, day date, ok boolean, raw blob)"
        )
        rows = [(n, n / 4, f"2024-01-01 00:{n % 60:02}:00", "2024-01-01", n % 2, b"\x00\xff") for n in range(1, 501)]
        database.executemany("insert into bills values (?, ?, ?, ?, ?, ?)", rows)
        database.execute("insert into bills values (501, 'much', 'today', '2024-02-30', null, null)")
        database.execute("create table names (name text)")
    database.close()
    location = f"sqlite:///{file}"
    frame = sql.read(spark, location, sql.Options(table="bills", parts=4, fetch_rows=50))
    kinds = [
        "bigint",
        "decimal(10,2)",
        "timestamp_ntz",
        "date",
        "boolean",
        "binary",
        "array<string>",
        "string",
        "string",
    ]
    assert [kind for _, kind in frame.dtypes] == kinds
    good = frame.where("_corrupt_record is null").selectExpr("count(*)", "sum(total)", "max(at)").collect()[0]
    assert tuple(good) == (500, Decimal("31312.50"), dt.datetime(2024, 1, 1, 0, 59))  # noqa: DTZ001
    bad = frame.where("_corrupt_record is not null").collect()[0]
    assert bad._position == "bills id=501"
    assert bad._corrupt_record == (
        "total: 'much' is no decimal128(10, 2); at: 'today' is no timestamp[us]; day: '2024-02-30' is no date32[day]"
    )
    query = sql.Options(query="select id, total, at as \"50%\" from bills where id < 9 and at like '2024%'")
    assert [kind for _, kind in sql.read(spark, location, query).dtypes][:3] == ["bigint", "double", "string"]
    assert sql.read(spark, location, query).count() == 8
    by_text = sql.Options(table="bills", split_by="at", parts=5)
    assert sql.read(spark, location, by_text).count() == 501
    assert sql.read(spark, location, sql.Options(table="names")).count() == 0
    assert "There is no such table" in refusal(spark, location, table="bill")
    assert "There is no such database" in refusal(spark, f"sqlite:///{tmp_path}/nope.db", table="bills")
    assert not (tmp_path / "nope.db").exists()


def test_memory_does_not_grow_with_the_table(server: Server) -> None:
    small, large = peaks(server, 1_000_000, "select n::bigint, repeat('x', 300) from generate_series(1, {}) n")
    # The rows are 300 MB.
    assert large - small < 40, (small, large)
