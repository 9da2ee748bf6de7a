"""One customer cannot land another's files, whatever its location says and wherever its files lead."""

from __future__ import annotations

import gzip
import os
import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from capflow_assets.errors import CapflowError, SourceError
from capflow_assets.home import fences
from capflow_assets.home.places import Home
from capflow_assets.paths import fence
from capflow_assets.sources import sql
from capflow_assets.sources.sql import addresses
from capflow_assets_tests.neighbours import (
    CANARY,
    HEADER,
    Neighbours,
    customer_of,
    manifest,
    rows_of,
)
from capflow_assets_tests.reliability import record

SEED = int(os.environ.get("CAPFLOW_FUZZ_SEED", "1"))
FRAME = {"bill_id": ["b1"], "user_id": [CANARY], "billed_at": ["2024-05-01 10:00:00"], "amount": [1.5]}


def refused(both: Neighbours, location: str, source: str = "csv", **options: object) -> str:
    """Why neither onboarding lets a location in nor landing reads it, where its TOML lies in the home all the same."""
    why = both.onboard(location, source, **options)
    both.drop(location, source, **options)
    landing = both.land()
    assert landing, f"{location} landed"
    assert "Traceback" not in why + landing
    return why + landing


# -- what stays legitimate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location", ["bills.csv", "{spy}/bills.csv", "*.csv", "{spy}/*.csv", "./bills.csv", "../spy/bills.csv"]
)
def test_a_customers_own_files_land(both: Neighbours, location: str) -> None:
    assert both.onboard(location.format(spy=both.spy)) == ""
    assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_links_within_a_customers_own_folder_are_followed(both: Neighbours) -> None:
    (both.spy / "2024").mkdir()
    (both.spy / "bills.csv").rename(both.spy / "2024" / "may.csv")
    (both.spy / "current").symlink_to("2024")
    (both.spy / "bills.csv").symlink_to("current/may.csv")
    for location in ("bills.csv", "current", "current/*.csv", "current/may.csv"):
        assert both.onboard(location) == ""
        assert both.land() == ""
        assert both.landed() == {"spys-own"}


def test_a_folder_on_a_mount_is_read_through_the_link_that_stands_for_it(both: Neighbours, tmp_path: Path) -> None:
    (tmp_path / "mnt").symlink_to(both.folder / "exports")
    assert both.onboard(f"{tmp_path}/mnt/spy/bills.csv") == ""
    assert both.land() == ""


# -- what leads elsewhere ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "{ann}/bills.csv",
        "{ann}",
        "{ann}/*.csv",
        "{ann}/../ann/bills.csv",
        "../ann/bills.csv",
        "../*/bills.csv",
        "../a??/b*",
        "..",
        "{exports}",
        "{exports}/[a]nn/bills.csv",
        "{ann}//./bills.csv",
        "/proc/self/cwd{ann}/bills.csv",
        "/proc/self/root{ann}/bills.csv",
        "/proc/self/environ",
        "/dev/stdin",
        "/dev/fd/0",
        "{home}/customers/ann.toml",
        "{home}/customers",
        "{home}/keys",
        "{home}/dagster",
        "{home}/fleet",
        "{home}/mlflow.db",
        "{home}/capflow.toml",
        "{home}",
        "{home}/*/ann.toml",
        "{home}/lake/ann/raw/bills",
        "{home}/lake/*/raw/bills/*.parquet",
        "/",
        "/*/*",
    ],
)
def test_a_location_that_names_anothers_place_is_refused(both: Neighbours, location: str) -> None:
    places = {"ann": both.ann, "home": both.home.root, "exports": both.folder / "exports"}
    refused(both, location.format(**places))


@pytest.mark.parametrize(
    "spelling", ["file://{}", "file:{}", "FILE://{}", "~/{}", "{}%00", "%2e%2e/ann/bills.csv", "{}\0"]
)
def test_a_spelling_that_some_readers_know_opens_nothing(both: Neighbours, spelling: str) -> None:
    refused(
        both,
        spelling.format(both.ann / "bills.csv").replace("\0", "\\u0000")
        if "\0" in spelling
        else spelling.format(both.ann / "bills.csv"),
    )


LINKS = {
    "a file": ("bills.csv", "{ann}/bills.csv", "bills.csv"),
    "a file, relatively": ("bills.csv", "../ann/bills.csv", "bills.csv"),
    "a folder": ("in", "{ann}", "in"),
    "a folder above": ("up", "{exports}", "up/ann/bills.csv"),
    "a folder on the way": ("up", "{exports}", "up/ann"),
    "a file that a glob fits": ("more.csv", "{ann}/bills.csv", "*.csv"),
    "a folder that a glob fits": ("in", "{ann}", "*/bills.csv"),
    "the lake": ("in", "{home}/lake/ann/raw/bills", "in/*.parquet"),
    "a link to a link": ("in", "{spy}/hop", "in/bills.csv"),
    "the process": ("in", "/proc/self/root{ann}", "in/bills.csv"),
    "a file of the system": ("bills.csv", "/etc/passwd", "bills.csv"),
    "the customers": ("in", "{home}/customers", "in/ann.toml"),
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_that_leads_elsewhere_is_refused_when_it_is_opened(both: Neighbours, what: str) -> None:
    name, target, location = LINKS[what]
    (both.spy / "hop").symlink_to(both.ann)
    places = {"ann": both.ann, "home": both.home.root, "exports": both.folder / "exports", "spy": both.spy}
    (both.spy / name).unlink(missing_ok=True)
    (both.spy / name).symlink_to(target.format(**places))
    for source in ("parquet",) if "parquet" in location else ("csv", "json", "files", "excel"):
        both.drop(location, source)
        assert both.land(), f"{what} landed as {source}"


def test_a_folder_read_as_a_whole_leads_nowhere_else(both: Neighbours) -> None:
    (both.spy / "in").mkdir()
    (both.spy / "bills.csv").rename(both.spy / "in" / "bills.csv")
    (both.spy / "in" / "more").symlink_to(both.ann)
    assert "another customer's" in refused(both, "in")


def test_pictures_and_texts_are_judged_alike(both: Neighbours) -> None:
    (both.spy / "texts").mkdir()
    (both.spy / "texts" / "one.txt").symlink_to(both.ann / "bills.csv")
    both.drop("texts", "files", contents=True)
    both.land()
    both.drop("texts", "files", manifest="../../ann/bills.csv")
    assert both.land()


def test_pipes_and_devices_are_refused_and_not_waited_for(both: Neighbours) -> None:
    os.mkfifo(both.spy / "pipe.csv")
    for location in ("pipe.csv", "/dev/zero", "/dev/tty"):
        assert refused(both, location)
    (both.spy / "zero.csv").symlink_to("/dev/zero")
    assert "system's" in refused(both, "zero.csv")
    with pytest.raises(SourceError, match="no file"):
        fence.open_real(str(both.spy / "pipe.csv"))


# -- while links are swapped -------------------------------------------------------------------------------------------


def test_a_link_swapped_between_the_look_and_the_opening_leads_nowhere(both: Neighbours) -> None:
    """The file, or the folder above it, is a link to ann's for half of the time."""
    own = both.spy / "in"
    own.mkdir()
    (both.spy / "real").mkdir()
    (both.spy / "real" / "bills.csv").write_text(rows_of("spys-own"))
    stop = threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            target = (both.ann, both.spy / "real")[turn % 2]
            spare = both.spy / f"spare{turn}"
            spare.symlink_to(target)
            spare.rename(both.spy / "current")
            turn += 1

    (both.spy / "current").symlink_to(both.spy / "real")
    limits = fence.Fence(base=str(both.spy), theirs=[fence.Place(str(both.ann / "bills.csv"))])
    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes: set[str] = set()
    try:
        for _ in range(2_000):
            path = str(both.spy / "current" / "bills.csv")
            try:
                with fence.within(limits):
                    real = fence.real_path(path, path)
                with fence.opened(real) as name:
                    outcomes.add("canary" if CANARY in Path(name).read_text() else "own")
            except (SourceError, OSError):
                outcomes.add("refused")
    finally:
        stop.set()
        swapping.join()
    assert outcomes == {"own", "refused"}


def test_what_was_judged_and_became_a_link_is_not_opened(both: Neighbours) -> None:
    path = both.spy / "bills.csv"
    real = fence.real_path(str(path), str(path))
    path.unlink()
    path.symlink_to(both.ann / "bills.csv")
    with pytest.raises(SourceError, match="has become a link"):
        fence.open_real(real)
    path.unlink()
    path.write_text("x")
    (both.folder / "exports" / "moved").symlink_to(both.ann)
    with pytest.raises(SourceError, match="has become a link"):
        fence.open_real(str(both.folder / "exports" / "moved" / "bills.csv"))
    (both.folder / "exports" / "moved").unlink()


# -- Delta and Parquet -------------------------------------------------------------------------------------------------


@pytest.fixture
def hers(both: Neighbours) -> Path:
    """A Parquet file of ann's with the canary in it, of a Delta table."""
    place = both.ann / "delta"
    if not place.exists():
        write_deltalake(str(place), pa.table(FRAME))
    return next(place.glob("*.parquet"))


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "../../ann/delta/{name}", "%2e%2e/%2e%2e/ann/delta/{name}", "link.parquet"]
)
def test_a_delta_log_that_names_anothers_file_is_refused(both: Neighbours, hers: Path, form: str) -> None:
    table = both.spy / "bills"
    write_deltalake(str(table), pa.table(FRAME | {"user_id": ["spys-own"]}))
    manifest(table, form.format(hers, name=hers.name))
    (table / "link.parquet").symlink_to(hers)
    assert "may not read" in refused(both, "bills", "delta")


def test_a_checkpoint_that_names_anothers_file_is_refused(both: Neighbours, hers: Path) -> None:
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    table = both.spy / "bills"
    write_deltalake(str(table), pa.table(FRAME | {"user_id": ["spys-own"]}))
    DeltaTable(str(table)).create_checkpoint()
    (log,) = (table / "_delta_log").glob("*.checkpoint.parquet")
    actions = pq.read_table(log)
    rows = actions.to_pylist()
    for row in rows:
        if row["add"]:
            row["add"]["path"] = str(hers)
    pq.write_table(pa.Table.from_pylist(rows, schema=actions.schema), log)
    assert "may not read" in refused(both, "bills", "delta")


def test_a_customers_own_delta_table_lands(both: Neighbours) -> None:
    write_deltalake(str(both.spy / "bills"), pa.table(FRAME | {"user_id": ["spys-own"]}))
    assert both.onboard("bills", "delta") == ""
    assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_parquet_that_the_engine_reads_is_judged_too(both: Neighbours, hers: Path) -> None:
    (both.spy / "day=1").mkdir()
    (both.spy / "day=1" / "a.parquet").symlink_to(hers)
    (both.spy / "b.parquet").symlink_to(hers)
    assert "may not read" in refused(both, "day=1/*.parquet", "parquet")
    assert "may not read" in refused(both, "b.parquet", "parquet")
    (both.spy / "b.parquet").unlink()
    (both.spy / "bills.csv").unlink()
    assert "may not read" in refused(both, str(both.spy), "parquet")


# -- databases ---------------------------------------------------------------------------------------------------------


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


def test_what_a_worker_refuses_is_told_in_its_own_words(both: Neighbours) -> None:
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


# -- buckets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["s3a", "S3", "s3n", "gs", "https", "hdfs", "abfss"])
@pytest.mark.parametrize("source", ["csv", "delta", "parquet"])
def test_other_schemes_are_refused_at_onboarding(both: Neighbours, scheme: str, source: str) -> None:
    assert "tables.bills.location" in both.onboard(f"{scheme}://bucket/lake/ann", source)


# -- generated ---------------------------------------------------------------------------------------------------------


def hostile(chance: random.Random, both: Neighbours) -> tuple[str, str]:
    """A location that leads to ann or into the home by a way of its own, and the source that reads it."""
    targets = [both.ann / "bills.csv", both.ann, both.ann.parent, both.home.root / "lake" / "ann" / "raw" / "bills"]
    targets += [both.home.root / name for name in ("customers", "mlflow.db", "customers/ann.toml", "")]
    target = str(chance.choice(targets)).rstrip("/")
    for _ in range(chance.randrange(1, 5)):
        target = chance.choice(WAYS)(chance, both, target)
    source = chance.choice(["csv", "json", "files", "parquet", "excel", "delta", "sql"])
    if source == "sql":
        target = chance.choice(["sqlite:///{}", "sqlite:////{}", "sqlite+pysqlite:///{}"]).format(target)
    return target, source


def _relative(chance: random.Random, both: Neighbours, path: str) -> str:
    return os.path.relpath(path, both.spy) if path.startswith("/") else path


def _link(chance: random.Random, both: Neighbours, path: str) -> str:
    """A link to some part of the way, and the rest behind it."""
    parts = [*Path(path if path.startswith("/") else both.spy / path).parts]
    cut = chance.randrange(2, len(parts) + 1)
    link = both.spy / f"l{chance.randrange(10**9)}"
    link.symlink_to(Path(*parts[:cut]))
    return str(Path(link, *parts[cut:]))


def _pattern(chance: random.Random, both: Neighbours, path: str) -> str:
    parts = [*Path(path).parts] or ["*"]
    place = chance.randrange(min(max(1, len(parts) - 3), len(parts) - 1), len(parts))
    name = parts[place]
    if name in ("..", "/") or set("*?[") & set(name):
        return path
    forms = ["*", "?" * len(name), f"[{name[0]}]{name[1:]}", f"{name[0]}*", f"*{name[-1]}"]
    return str(Path(*parts[:place], chance.choice(forms), *parts[place + 1 :]))


def _detour(chance: random.Random, both: Neighbours, path: str) -> str:
    return path.replace("/ann", chance.choice(["/spy/../ann", "/./ann", "//ann", "/ann/../ann"]), 1)


def _process(chance: random.Random, both: Neighbours, path: str) -> str:
    before = chance.choice(["/proc/self/root", "/proc/thread-self/root", f"/proc/{os.getpid()}/root"])
    return before + path if path.startswith("/") else path


def _encoded(chance: random.Random, both: Neighbours, path: str) -> str:
    return chance.choice([quote(path), f"file://{path}", path.replace("a", "%61", 1), f"{path}/"])


WAYS = (_relative, _link, _link, _pattern, _pattern, _detour, _process, _encoded)


def attack(both: Neighbours, seed: int, count: int, onboarded_every: int) -> list[str]:
    """The generated locations that landed something or put the canary anywhere."""
    chance, broken = random.Random(seed), []
    for number in range(count):
        location, source = hostile(chance, both)
        options = {"table": "bills"} if source == "sql" else {}
        if number % onboarded_every == 0:
            both.onboard(location, source, **options)
        both.drop(location, source, **options)
        try:
            why = both.land()
        except CapflowError as error:
            why = str(error)
        # spy's own file lands where a pattern fits no other, and no more than that.
        own = not why and both.landed() == {"spys-own"}
        if (not why and not own) or both.stolen() or "Traceback" in why:
            broken.append(f"{source} {location}: {why}")
    return broken


def test_generated_locations_reach_nobody_else(both: Neighbours) -> None:
    assert attack(both, SEED, 200, onboarded_every=20) == []


@pytest.mark.long
def test_a_thousand_generated_locations_reach_nobody_else(both: Neighbours) -> None:
    broken = attack(both, SEED + 1, 1_000, onboarded_every=10)
    record("hostile locations", generated=1_000, reached_another=len(broken))
    assert broken == []
