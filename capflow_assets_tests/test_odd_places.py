"""Homes of odd names, on full disks, read-only, without a user's own folder: all works, or the failure is reported."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from capflow_assets.doctor import Case, examine
from capflow_assets.errors import CapflowError
from capflow_assets.home.places import Home
from capflow_assets.paths.folders import LONGEST_HOME_BYTES
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.commands import capflow, capflow_in_turn, needs_mounts

ODD = ("a blank", "größe-本", "50%", "no #1", "a+b & 'c'", 'say "so"', " edge ", "~tilde")
UNFIT = ("what?", "a*b", "[a]", "{a,b}", "a%20b", "back\\slash", "two\nlines", "tab\there", "a|b", "a^b", "a`b")


# What Debian's package faketime puts there.
FAKE_CLOCK = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    brand = tiny("young", seed=2, users=40, days=70, sends=("bills",))
    return write(simulate(brand), tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("name", ODD)
def test_a_lake_of_an_odd_name_is_read_and_written_by_all_of_its_libraries(tmp_path, spark, name):
    root = tmp_path / name / "lake"
    lake = Lake(str(root), lambda: spark)
    rows = spark.sql("select 1 as id, 'a' as word union all select 2, 'b'")
    assert lake.write(rows, "c", "raw/x") == 0
    assert lake.write(rows, "c", "raw/x", "append") == 1
    assert lake.table("c", "raw/x", version=0).count() == 2
    lake.replace_keys(rows, rows.select("id"), "c", "raw/x")
    lake.replace(rows, "c", "raw/x", "id > 0")
    with lake.staged(rows, "c", "raw/y") as staged:
        assert staged.count() == 2
    assert lake.arrow("c", "raw/x").num_rows == lake.rows("c", "raw/x") == 2
    assert lake.tables("c") == ["raw/x"]
    assert [place.name for place in tmp_path.iterdir()] == [name], "something was written beside it"


def test_every_command_works_on_a_home_of_an_odd_name(tmp_path, toml):
    home = TestHome(tmp_path / """a home, größe 50% #1 & 'more'""")
    home.ok("onboard", str(toml))
    home.ok("run", "young", "-s", "raw,clean,features/rfm,validation")
    bills = home.rows("raw/bills", "young")
    assert home.rows("features/rfm", "young")
    home.ok("status")
    assert "größe 50% #1" in home.ok("report", "young")
    user = next(row["user_id"] for row in bills if row["user_id"])
    home.ok("forget", "young", user, "--yes")
    left = home.rows("raw/bills", "young")
    assert len(left) == sum(row["user_id"] != user for row in bills)
    said = home.capflow("doctor", "-f", "csv")
    assert not [line for line in said.out.splitlines() if ",broken," in line]
    assert [place.name for place in tmp_path.iterdir()] == [home.root.name]


@pytest.mark.parametrize("name", UNFIT)
def test_what_a_library_would_misread_is_refused_by_its_own_name(tmp_path, name):
    for environment in ({"CAPFLOW_HOME": str(tmp_path / name)}, {"CAPFLOW_LAKE": str(tmp_path / name)}):
        with pytest.raises(CapflowError, match=r"(home|lake).* cannot be"):
            Home.of(None if "CAPFLOW_HOME" in environment else tmp_path, environment)
    said = TestHome(tmp_path / name).capflow("status")
    assert said.code == 1
    assert "The home cannot be" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_home_too_deep_for_sqlite_is_refused_at_once_and_the_deepest_works(tmp_path):
    deep = tmp_path
    while len(str(deep)) < LONGEST_HOME_BYTES - 60:
        deep = deep / ("y" * 50)
    deep = deep / ("z" * (LONGEST_HOME_BYTES - 1 - len(str(deep))))
    TestHome(deep).ok("status")
    said = TestHome(deep / "zz").capflow("status")
    assert said.code == 1
    assert "too long" in said.err


@needs_mounts
def test_a_read_only_home_can_be_looked_at_and_nothing_else(bills_only, tmp_path):
    root = bills_only.root
    frozen = f'mount --bind "{root}" "{root}" && mount -o remount,ro,bind "{root}"'
    looks = (
        ("show", "raw/bills", "-c", "young", "-f", "csv"),
        ("status", "-f", "csv"),
        ("explain", "young", "rfm_segments", "-f", "csv"),
        ("report", "young", "-o", str(tmp_path / "report.html")),
    )
    writes = (("report", "young"), ("run", "young"), ("freeze", "young", "rfm_segments"))
    *looked, doctor, report, run, freeze = capflow_in_turn(
        root, *looks, ("doctor", "-f", "csv"), *writes, before=frozen
    )
    for command, said in zip(looks, looked, strict=True):
        assert said.code == 0, said.err
        assert command[0] == "report" or said.out == bills_only.ok(*command)
    assert (tmp_path / "report.html").stat().st_size
    assert "configuration.home,broken" in doctor.out
    assert "itself failed" not in doctor.out
    alone = capflow("run", "young", "--home", str(root), before=frozen)
    for said in (report, run, freeze, alone):
        assert said.code == 1
        assert "which cannot be written" in said.err or "lets nobody write" in said.err
        assert "report" in said.err
        assert "Traceback" not in said.err


@needs_mounts
@pytest.mark.parametrize("size", ["12k", "32k"])
def test_a_full_disk_is_reported_and_the_next_run_has_all_rows(tmp_path, toml, size):
    home = TestHome(tmp_path / "home")
    home.ok("onboard", str(toml))
    home.ok("run", "young", "-s", "raw")
    before = home.rows("raw/bills", "young")
    lake = home.root / "lake"
    small = f'mount -t tmpfs -o size={size} none "{lake}"'
    said = capflow("run", "young", "-s", "raw,clean", "--home", str(home.root), before=small)
    assert said.code == 1
    assert "No space is left on the disk" in said.err
    assert f"{lake} (0.0 MB free)" in said.err
    assert "Traceback" not in said.err
    home.ok("run", "young", "-s", "raw,clean", "--full")
    assert home.rows("raw/bills", "young") == before


@needs_mounts
def test_a_home_on_a_full_disk_can_be_looked_at(bills_only, tmp_path):
    home = bills_only.copied(tmp_path / "home")
    inner = tmp_path / "small"
    inner.mkdir()
    full = (
        f'mount -t tmpfs -o size=200m none "{inner}" && cp -a "{home.root}" "{inner}/home"'
        f' && (cat /dev/zero > "{inner}/filler" 2>/dev/null || true)'
    )
    shown = capflow("show", "raw/bills", "-c", "young", "-f", "csv", "--home", f"{inner}/home", before=full)
    assert shown.code == 0, shown.err
    said = capflow("run", "young", "-s", "raw", "--home", f"{inner}/home", before=full)
    assert said.code == 1
    assert "No space is left on the disk" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("folder", [None, "/nonexistent"])
def test_no_folder_of_a_user_is_needed(bills_only, folder):
    said = capflow("status", "--home", str(bills_only.root), environment={"HOME": folder, "MPLCONFIGDIR": None})
    assert said.code == 0, said.err


@pytest.mark.skipif(FAKE_CLOCK is None, reason="a clock of one's own needs libfaketime")
def test_a_clock_that_jumps_back_loses_nothing(tmp_path, toml):
    files = shutil.copytree(toml.parent, tmp_path / "files")
    home = TestHome(tmp_path / "home")
    home.ok("onboard", str(files / toml.name))
    ahead = {"LD_PRELOAD": str(FAKE_CLOCK), "FAKETIME": "+3d"}
    said = capflow("run", "young", "-s", "raw,clean", "--home", str(home.root), environment=ahead)
    assert said.code == 0, said.err
    assert len(home.rows("raw/bills", "young")) > 2
    bills = files / "bills.csv"
    header, *rows = bills.read_text(encoding="utf-8").splitlines(keepends=True)
    bills.write_text("".join([header, *rows[:-1]]), encoding="utf-8")  # exported anew, one row less
    home.ok("run", "young", "-s", "raw,clean")
    assert len(home.rows("raw/bills", "young")) == len(rows) - 1
    assert len(home.rows("clean/bills", "young")) == len({row.split(",")[0] for row in rows[:-1]})
    assert not [line for line in home.capflow("doctor", "-f", "csv").out.splitlines() if ",broken," in line]


def test_doctor_tells_of_an_examination_that_breaks_and_goes_on(tmp_path, monkeypatch):
    from capflow_assets.doctor import examination

    def odd(case):
        yield {}[{}]

    def panic(case):
        raise BaseException("a panic")

    def sound(case):
        yield examination.Diagnosis("ok", "all is well")

    monkeypatch.setattr(examination, "checks", lambda: {"a.odd": odd, "a.panic": panic, "a.sound": sound})
    case = Case(Home.of(tmp_path, {}), lambda: None, now=lambda: datetime.now(UTC))
    results = {result.check: result for result in examine(case)}
    assert results["a.odd"].state == results["a.panic"].state == "broken"
    assert "this examination itself failed: TypeError: unhashable type: 'dict'" in results["a.odd"].found
    assert results["a.sound"].state == "ok"


def test_doctor_reads_a_home_whose_sensors_have_states(bills_only, tmp_path, monkeypatch):
    """What the daemon leaves: the sensors' states, with their settings, of which one failed at last."""
    import dagster as dg
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        InstigatorType,
        SensorInstigatorData,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    home = bills_only.copied(tmp_path / "home")
    target = LoadableTargetOrigin(module_name="capflow_assets.definitions", attribute="defs")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "capflow")
    monkeypatch.setenv("DAGSTER_HOME", str(home.root / "dagster"))
    with dg.DagsterInstance.get() as instance:
        for name in ("onboarding", "retraining"):
            origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
            data = SensorInstigatorData(cursor='{"a": {"b": []}}')
            state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
            instance.add_instigator_state(state)
    said = home.capflow("doctor", "-f", "csv")
    assert 'daemon.sensors,ok,"onboarding, retraining on",' in said.out, said.out
