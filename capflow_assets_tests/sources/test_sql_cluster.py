"""A cluster's own JDBC reader, on a JVM Spark with PostgreSQL's JDBC driver, which the system's packages have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources import sql
from capflow_assets.sources.sql import cluster_reader, engine
from capflow_assets_doubles.sql_servers import LOGIN, PASSWORD, PASSWORD_ENV, Server, postgres

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DRIVER = Path("/usr/share/java/postgresql.jar")
WITH_DRIVER = pytest.mark.skipif(
    not DRIVER.exists(), reason="no JDBC driver: apt-get install --no-install-recommends libpostgresql-jdbc-java"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, postgres() as database:
        patch.setenv(PASSWORD_ENV, PASSWORD)
        database.run(
            """create table bills (id bigint primary key, "User Id" text, total numeric(10,2), at timestamptz,
               local timestamp, "_position" text)""",
            """insert into bills select i, 'u' || i % 100, i / 100.0,
               timestamptz '2024-01-01 00:00Z' + i * interval '1 minute', '2024-03-31 02:30', 'p'
               from generate_series(1, 5000) i""",
        )
        yield database


@pytest.fixture
def cluster(jvm: SparkSession, monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    """A session that says of itself that it is a cluster's."""
    jvm.addArtifacts(str(DRIVER))
    monkeypatch.setenv(engine.DATABRICKS_RUNTIME, "18.0")
    return jvm


def read(session: SparkSession, server: Server, **options: Any) -> DataFrame:
    return sql.read(session, server.location(), sql.Options(**(LOGIN | options)))


@WITH_DRIVER
@pytest.mark.parametrize("options", [{"table": "bills"}, {"table": "bills", "split_by": "id", "parts": 3}])
def test_the_clusters_reader_gives_the_same(
    cluster: SparkSession, spark: SparkSession, server: Server, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    there = read(cluster, server, **options)
    monkeypatch.delenv(engine.DATABRICKS_RUNTIME)
    here = read(spark, server, **options)
    assert there.dtypes == here.dtypes
    columns = ["id", "`User Id`", "total", "cast(at as string)", "local", "_position_6", "_corrupt_record"]
    assert sorted(there.selectExpr(*columns).collect()) == sorted(here.selectExpr(*columns).collect())
    positions = sorted(row[0] or "" for row in there.select("_position").collect())
    assert positions[-1] == ("bills id=999" if "split_by" in options else "")


@WITH_DRIVER
def test_parts_newer_rows_and_queries(cluster: SparkSession, server: Server) -> None:
    than = dt.datetime(2024, 1, 4, 11, 0, tzinfo=dt.UTC)
    options = sql.Options(table="bills", **LOGIN)
    newer = sql.read_newer(cluster, server.location(), options, "at", than)
    assert sorted(row.id for row in newer.collect()) == list(range(4980, 5001))
    by_query = read(cluster, server, query='select id, "User Id" from bills where id < 4 -- few')
    assert sorted(map(tuple, by_query.collect())) == [(n, f"u{n}", None, None, None) for n in (1, 2, 3)]
    total = read(cluster, server, table="bills", split_by="total", parts=4).selectExpr("sum(total)").collect()[0][0]
    assert total == Decimal("125025.00")


@WITH_DRIVER
def test_the_password_is_not_shown(cluster: SparkSession, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    frame = read(cluster, server, table="bills", split_by="id")
    frame.explain(extended=True)
    assert PASSWORD not in capsys.readouterr().out
    for wrong in ({"table": "nope"}, {"query": "selec 1"}, {"table": "bills", "user": "nobody"}):
        with pytest.raises(SourceError, match="The cluster cannot read the database") as caught:
            read(cluster, server, **wrong)
        assert PASSWORD not in str(caught.value)


@WITH_DRIVER
def test_the_cluster_only_reads(cluster: SparkSession, server: Server) -> None:
    # The driver's own exception has no class where Spark would read it.
    with pytest.raises(Exception, match="Job aborted"):
        read(cluster, server, query="select lo_create(0) as made", user="postgres", password=None).collect()
    assert server.run("select count(*) from pg_largeobject_metadata") == [(0,)]


def test_where_the_cluster_has_no_reader(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(engine.DATABRICKS_RUNTIME, raising=False)
    assert not engine.has_cluster_readers(spark)
    monkeypatch.setenv(engine.DATABRICKS_RUNTIME, "18.0")
    assert engine.has_cluster_readers(spark)
    assert cluster_reader.has_reader("mysql://shop.example.com/crm")
    assert not cluster_reader.has_reader(f"sqlite:///{tmp_path}/shop.db")
    assert not cluster_reader.has_reader("postgresql:///crm?host=/var/run/postgresql")


def test_a_clusters_setting_tells(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engine.DATABRICKS_RUNTIME, raising=False)
    spark.conf.set(engine.DATABRICKS_SETTING, "18.0.x-scala2.13")
    try:
        assert engine.has_cluster_readers(spark)
    finally:
        spark.conf.unset(engine.DATABRICKS_SETTING)
