"""One customer never touches another: poisoned neighbours change nothing, and no file of theirs is opened."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pandas as pd
import pytest

from capflow_assets.customers.customer import Customer
from capflow_assets.customers.own_places import refuse_own_places
from capflow_assets.definitions import STAGES
from capflow_assets.errors import CustomerError
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.registry import Registry
from capflow_assets_doubles.homes import ANY_BILL_NUMBERS, EACH_KIND, FEW_FEATURES, TestHome, all_of, small_budgets

SENDS = ("bills", "line_items", "users", "items")
MODELS = EACH_KIND
ALIKE = ("a", "a_b", "a-b", "ab", "a_", "a-", "a0")


def files_of(folder: Path, name: str, poison: bool) -> Path:
    """One and the same shop under any name; poisoned, every amount is absurd and every user is somebody else."""
    settings = FEW_FEATURES | ANY_BILL_NUMBERS | small_budgets(*MODELS) | {"only_models": list(MODELS)}
    toml = write(simulate(tiny(name, seed=6, users=200, days=400, sends=SENDS)), folder, settings=settings)
    for table in ("bills", "line_items") if poison else ():
        frame = pd.read_csv(folder / f"{table}.csv", dtype={"user_id": str, "bill_id": str})
        frame["amount"] = 1e9
        frame["user_id"] = frame["user_id"].sample(frac=1, random_state=1).to_numpy()
        frame.to_csv(folder / f"{table}.csv", index=False)
    return toml


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``ann`` in it and nobody else."""
    home = TestHome(tmp_path_factory.mktemp("alone") / "home", has_pictures=False)
    home.ok("onboard", str(files_of(home.root.parent / "ann", "ann", poison=False)))
    home.ok("run", "ann", "--select", all_of(*MODELS))
    return home


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestHome, list[str]]:
    """The same ``ann`` beside ``ann_b``, of the same ids and absurd values; and what was opened of the neighbour's.

    The neighbour's tables are garbage by the time that ``ann`` is run.
    """
    home = TestHome(tmp_path_factory.mktemp("shared") / "home")
    for name in ("ann_b", "ann"):
        home.ok("onboard", str(files_of(home.root.parent / name, name, poison=name == "ann_b")))
    home.ok("run", "ann_b", "--select", "raw,clean,validation/readiness,features/rfm,features/user_item,*/rfm_segments")
    theirs = home.root / "lake" / "ann_b"
    for file in theirs.rglob("*"):
        if file.is_file():
            file.write_bytes(b"\x00 not yours")
    before = files_below(theirs)
    with opened_below(theirs, home.root.parent / "ann_b") as opened:
        home.ok("run", "ann", "--select", all_of(*MODELS))
    assert files_below(theirs) == before
    return home, opened


# -- what is opened ----------------------------------------------------------------------------------------------------

IN_ACCESS, IN_OPEN = 0x1, 0x20
EVENT = struct.Struct("iIII")


@contextlib.contextmanager
def opened_below(*folders: Path) -> Iterator[list[str]]:
    """The files and folders below ``paths.folders`` that anyone opens meanwhile, as the kernel reports them."""
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    kernel = ctypes.CDLL(None, use_errno=True)
    queue = kernel.inotify_init1(os.O_NONBLOCK)
    assert queue >= 0, os.strerror(ctypes.get_errno())
    below = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_dir()]
    watched = {kernel.inotify_add_watch(queue, str(path).encode(), IN_OPEN | IN_ACCESS): path for path in below}
    assert -1 not in watched, os.strerror(ctypes.get_errno())
    accesses: list[str] = []
    try:
        yield accesses
    finally:
        with contextlib.suppress(BlockingIOError):
            while buffer := os.read(queue, 1 << 20):
                accesses += _events(buffer, watched)
        os.close(queue)


def _events(buffer: bytes, watched: dict[int, Path]) -> Iterator[str]:
    while buffer:
        watch, _, _, length = EVENT.unpack_from(buffer)
        yield str(watched[watch] / buffer[EVENT.size : EVENT.size + length].rstrip(b"\0").decode())
        buffer = buffer[EVENT.size + length :]


def test_the_watch_sees_who_opens(alone, tmp_path):
    folder = alone.root / "lake" / "ann"
    with opened_below(folder) as opened:
        pass
    assert opened == []
    with opened_below(folder) as opened:
        alone.rows("features/rfm", "ann")
    assert any("features/rfm" in path for path in opened)
    assert not any("clean/" in path for path in opened)
    with opened_below(folder) as opened:
        alone.copied(tmp_path / "home").ok("run", "ann", "--select", "features/rfm")
    assert any("clean/bills" in path for path in opened), "Sail's reads are seen too"


def test_no_file_of_another_customer_is_opened(shared):
    assert shared[1] == []


# -- what comes out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*STAGES.tables, *(f"predictions/{model}" for model in MODELS)])
def test_a_poisoned_neighbour_changes_no_row(alone, shared, table):
    home, _ = shared
    there = [variant.capflow("show", table, "--customer", "ann", "--format", "csv") for variant in (alone, home)]
    assert there[0].code == there[1].code
    assert sorted(there[0].out.splitlines()) == sorted(there[1].out.splitlines())
    lacking = table in STAGES.absent(SENDS) or there[0].code
    assert bool(lacking) or len(there[0].out.splitlines()) > 10


def test_some_model_scores_in_this_home(alone):
    assert any(row["champion"] for row in alone.status("ann").values())
    assert alone.rows("predictions/rfm_segments", "ann")


def trained(home: TestHome) -> set[str]:
    """The models of which there is a version."""
    return {model for model, row in home.status("ann").items() if row["champion"] or row["challenger"]}


@pytest.mark.parametrize("model", MODELS)
def test_a_poisoned_neighbour_changes_no_model(alone, shared, model):
    if model not in trained(alone):
        assert model not in trained(shared[0])
        return
    one, other = (home.report("ann", model) for home in (alone, shared[0]))
    assert one.pop("artifacts") != other.pop("artifacts")
    plots = one.pop("plots"), other.pop("plots")
    assert plots[0] != plots[1] or plots == ([], []), "the rule has none"
    assert one["parameters"]
    assert one == other


def test_models_lie_below_the_prefix_of_their_customer(shared):
    home, _ = shared
    with contextlib.closing(sqlite3.connect(home.root / "mlflow.db")) as database:

        def column(sql: str) -> set[str]:
            return {row[0] for row in database.execute(sql)}

        own = {f"ann.{model}" for model in trained(home)}
        names = column("select name from registered_models")
        assert names == own | {"ann_b.rfm_segments"}
        assert column("select name from experiments") - {"Default"} == names
        for name in names:
            customer, model = name.split(".")
            below = f"capflow-lake:/{customer}/mlflow/{model}/"
            places = column(f"select artifact_location || '/' from experiments where name = '{name}'")
            places |= column(
                "select r.artifact_uri from runs r join experiments e on e.experiment_id = r.experiment_id "
                f"where e.name = '{name}'"
            )
            places |= column(f"select storage_location from model_versions where name = '{name}'")
            assert len(places) >= 3
            assert {place for place in places if not place.startswith(below)} == set()
            assert list((home.root / "lake" / customer / "mlflow" / model).glob("*/artifacts/model/model.skops"))


# -- names ---------------------------------------------------------------------------------------------------------


def test_names_that_look_alike_share_nothing(tmp_path, spark):
    lake = Lake(str(tmp_path / "lake"), lambda: spark)
    for number, name in enumerate(ALIKE):
        lake.write(spark.range(number), name, "raw/bills")
    for number, name in enumerate(ALIKE):
        assert lake.rows(name, "raw/bills") == number
        assert lake.tables(name) == ["raw/bills"]
    for one, other in permutations(ALIKE, 2):
        assert not f"{lake.prefix(one)}/".startswith(f"{lake.prefix(other)}/")
    shutil.rmtree(lake.prefix("a"))
    assert all(lake.exists(name, "raw/bills") == (name != "a") for name in ALIKE)


def test_models_of_names_that_look_alike_share_nothing(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "lake"))
    for name in ALIKE[1:]:
        registry.client.create_registered_model(f"{name}.x")
        registry.client.create_model_version(f"{name}.x", f"file://{tmp_path}")
        registry.promote(name, "x", 1, "first")
        registry.freeze(name, "x", frozen=True)
    assert registry.versions("a", "x") == []
    assert registry.champion("a", "x") is None
    assert registry.frozen("a", "x") is False
    places = {registry.experiment_of(name, "x") for name in ALIKE}
    assert len(places) == len(ALIKE)


# -- a source that is another customer's table ---------------------------------------------------------------------


def pointing(home: TestHome, folder: Path, location: str) -> Path:
    folder.mkdir(exist_ok=True)
    toml = files_of(folder, "spy", poison=False)
    text = toml.read_text()
    assert 'location = "bills.csv"' in text
    toml.write_text(text.replace('location = "bills.csv"', f'location = "{location}"'))
    return toml


@pytest.mark.parametrize(
    "location",
    [
        "{lake}/ann/raw/bills",
        "{lake}/ann/raw/bills/*.parquet",
        "{lake}/*/raw/bills/*.parquet",
        "{lake}/ann/../ann/plots",
        "{lake}/spy/raw/bills",
        "{home}/../home/lake/ann/mlflow",
        "{home}/[l]ake/ann/raw/bills/*.parquet",
        "../link/ann/raw/bills",
        "{home}/mlflow.db",
        "{home}/dagster",
    ],
)
def test_a_source_within_the_lake_is_refused(alone, tmp_path, location):
    (tmp_path / "link").symlink_to(alone.root / "lake")
    toml = pointing(alone, tmp_path / "spy", location.format(lake=alone.root / "lake", home=alone.root))
    said = alone.capflow("onboard", str(toml))
    assert said.code == 1
    assert "tables.bills.location" in said.err
    assert "another customer" in said.err
    assert "Traceback" not in said.err
    assert not (alone.root / "customers" / "spy.toml").exists()


def test_a_source_within_the_lake_is_refused_however_it_came_in(alone, tmp_path):
    """A file dropped or changed in the home's folder is checked when it is read, and again when it is run."""
    home = alone.copied(tmp_path / "home")
    toml = pointing(home, tmp_path / "spy", f"{home.root}/lake/ann/raw/bills")
    shutil.copy(toml, home.root / "customers" / "spy.toml")
    said = home.capflow("run", "spy", "--select", "raw/bills")
    assert said.code == 1
    assert "another customer" in said.err
    assert not (home.root / "lake" / "spy").exists()


@pytest.mark.parametrize(
    ("location", "is_refused"),
    [
        ("s3://bucket/lake/ann/raw/bills", True),
        ("s3://bucket/lake", True),
        ("s3://bucket/la*/ann/plots", True),
        ("s3://bucket/lake_of_files/bills.csv", False),
        ("s3://other/lake/ann", False),
        ("/bucket/lake/ann", False),
    ],
)
def test_a_lake_in_a_bucket_is_refused_alike(location, is_refused):
    bills = {"source": "csv", "location": location, "columns": {"amount": "a"}}
    settings = {"name": "spy", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "tables": {"bills": bills}}
    customer = Customer.model_validate(settings)
    with pytest.raises(CustomerError, match=r"tables[.]bills[.]location") if is_refused else contextlib.nullcontext():
        refuse_own_places(customer, "spy.toml", ["s3://bucket/lake", "/home/mlflow.db"])


def test_a_source_beside_the_lake_is_fine(alone, tmp_path):
    home = alone.copied(tmp_path / "home")
    (home.root / "lake_of_files").mkdir()
    toml = pointing(home, home.root / "lake_of_files", str(home.root / "lake_of_files" / "bills.csv"))
    home.ok("onboard", str(toml))
    home.ok("run", "spy", "--select", "raw/bills")
