"""A database is a source where it is the customer's own, however it is called."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from capflow_assets.errors import SourceError
from capflow_assets.home import fences
from capflow_assets.home.places import Home
from capflow_assets.paths import fence
from capflow_assets.sources import sql
from capflow_assets.sources.sql import addresses
from capflow_assets_tests.neighbours import (
    CANARY,
    FRAME,
    HEADER,
    Neighbours,
    customer_of,
    refused,
    rows_of,
)


def database(path: Path, user: str) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute(f"create table bills ({HEADER})")
        opened.execute("insert into bills values ('b1', ?, '2024-05-01 10:00:00', 1.5)", (user,))


@pytest.mark.parametrize(
    "location",
    [
        "sqlite:////{ann}/shop.db",
        "sqlite:///../ann/shop.db",
        "sqlite:///link.db",
        "sqlite:///up/ann/shop.db",
        "sqlite+pysqlite:///../ann/shop.db",
        "sqlite:///file:{ann}/shop.db?uri=true",
        "sqlite:///file:{ann}/shop.db?mode=ro&uri=true",
        "sqlite:////proc/self/root{ann}/shop.db",
        "sqlite:////proc/self/cwd/{cwd}{ann}/shop.db",
        "sqlite:///{home}/mlflow.db",
        "sqlite:///{cwd}{home}/dagster/history/runs.db",
        "sqlite:///../../home/mlflow.db",
        "duckdb:///{ann}/shop.db",
        "duckdb:///{ann}/shop.db?host=x",
        "mssql+pyodbc://host/db?driver=/tmp/evil.so",
    ],
)
def test_another_customers_or_the_platforms_sqlite_is_refused(both: Neighbours, location: str) -> None:
    if not (both.ann / "shop.db").exists():
        database(both.ann / "shop.db", CANARY)
        text = (both.home.root / "customers" / "ann.toml").read_text()
        more = '[tables.users]\nsource = "sql"\nlocation = "sqlite:///shop.db"\noptions = {table = "bills"}\n'
        (both.home.root / "customers" / "ann.toml").write_text(f'{text}\n{more}columns = {{user_id = "user_id"}}\n')
    (both.spy / "link.db").symlink_to(both.ann / "shop.db")
    (both.spy / "up").symlink_to(both.ann.parent)
    up = "../" * 30
    plain = location.format(ann=both.ann, home=both.home.root, cwd=up)
    refused(both, plain, "sql", table="runs" if "runs" in location else "bills")


def test_a_customers_own_sqlite_is_read_from_its_folder(both: Neighbours) -> None:
    database(both.spy / "shop.db", "spys-own")
    for location in ("sqlite:///shop.db", f"sqlite:///{both.spy}/shop.db"):
        assert both.onboard(location, "sql", table="bills") == ""
        assert both.land() == ""
        assert both.landed() == {"spys-own"}


def test_a_file_that_the_toml_names_by_its_full_path_may_lie_elsewhere(both: Neighbours, tmp_path: Path) -> None:
    database(tmp_path / "shop.db", "spys-own")
    (tmp_path / "bills.csv").write_text(rows_of("spys-own"))
    write_deltalake(str(tmp_path / "delta"), pa.table(FRAME | {"user_id": ["spys-own"]}))
    assert both.onboard(f"sqlite:///{tmp_path}/shop.db", "sql", table="bills") == ""
    assert both.land() == ""
    for location, source in (("bills.csv", "csv"), ("*.csv", "csv"), ("delta", "delta")):
        assert both.onboard(f"{tmp_path}/{location}", source) == ""
        assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_what_a_worker_refuses_is_reported_in_its_own_words(both: Neighbours) -> None:
    with gzip.open(both.spy / "endless.csv.gz", "wb", 1) as file:
        file.write(f"{HEADER}\n".encode())
        for _ in range(65):
            file.write(b"x" * (1 << 20))
    assert both.onboard("endless.csv.gz") == ""
    refusal = both.land()
    assert refusal.startswith("A line does not end.")
    assert "lines of less than" in refusal
    assert "check that it is a text file" in refusal


def test_links_in_a_ring_end(both: Neighbours) -> None:
    (both.spy / "in").mkdir()
    (both.spy / "bills.csv").rename(both.spy / "in" / "bills.csv")
    for number in range(12):
        (both.spy / "in" / f"ring{number}").symlink_to("../in")
    assert both.onboard("in") == ""
    assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_a_query_cannot_attach_another_file(both: Neighbours) -> None:
    database(both.spy / "shop.db", "spys-own")
    if not (both.ann / "other.db").exists():
        database(both.ann / "other.db", CANARY)
    for query in (
        f"select 1) x; attach '{both.ann}/other.db' as o; select * from (select * from o.bills",
        f"attach '{both.ann}/other.db' as o",
        "select load_extension('/tmp/x.so')",
        "select readfile('/etc/passwd') as bill_id",
    ):
        assert refused(both, "sqlite:///shop.db", "sql", query=query)


OWN = "postgresql+psycopg2://dagster@localhost:5432/dagster"


@pytest.mark.parametrize(
    "location",
    [
        "postgresql://localhost/dagster",
        "postgresql://LOCALHOST:5432/dagster",
        "postgresql://localhost./dagster",
        "postgresql://127.0.0.1/dagster",
        "postgresql://127.1/dagster",
        "postgresql://[::1]/dagster",
        "postgresql://0.0.0.0/dagster",
        "postgresql+pg8000://127.0.0.1:5432/dagster",
        "postgresql:///dagster?host=localhost",
        "postgresql:///dagster?host=/var/run/postgresql",
        "postgresql://elsewhere.invalid/dagster?host=localhost:5432",
        "postgresql:///dagster?host=elsewhere.invalid:5432&host=127.0.0.1:5432",
    ],
)
def test_the_deployments_own_database_is_no_source_however_it_is_called(location: str) -> None:
    with fence.within(fence.Fence(databases=[OWN])), pytest.raises(SourceError, match="may not read that"):
        addresses.admitted(location)


@pytest.mark.parametrize(
    "location",
    [
        "postgresql://localhost/shop",
        "postgresql://localhost:5433/dagster",
        "postgresql://shop.invalid/dagster",
        "mysql://localhost/dagster",
    ],
)
def test_other_databases_are_sources(location: str) -> None:
    with fence.within(fence.Fence(databases=[OWN])):
        assert addresses.admitted(location) == location


def test_every_database_of_the_deployments_mysql_server_is_refused() -> None:
    with fence.within(fence.Fence(databases=["mysql+pymysql://u@db.invalid/mlflow"])), pytest.raises(SourceError):
        addresses.admitted("mysql://DB.invalid:3306/shop")


def test_the_databases_of_a_home_are_in_its_fence_without_passwords(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://dagster:secret@db/dagster"
    home = Home.of(tmp_path, {"CAPFLOW_POSTGRES_URL": url, "MLFLOW_TRACKING_URI": "mysql://m:secret@db/mlflow"})
    limits = fences.fence_of(home, customer_of("csv", "bills.csv"))
    assert limits.databases == ["postgresql+psycopg2://dagster@db/dagster", "mysql://m@db/mlflow"]
    assert "secret" not in repr(limits)


def test_certificates_are_judged_as_other_files_are(both: Neighbours) -> None:
    with fence.within(fence.Fence(base=str(both.spy), theirs=[fence.Place(str(both.ann))])):
        with pytest.raises(SourceError, match="may not read"):
            sql.Options(table="x", ssl_ca=str(both.ann / "ca.pem")).access()
        assert sql.Options(table="x", ssl_ca="/etc/ssl/certs/ca.pem").access().ssl_ca
