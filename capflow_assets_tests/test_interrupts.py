"""Interrupts and deaths of real processes: what was committed stays, the others go on, and it is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from capflow_assets.doctor.records import end_runs
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.kills import (
    TABLES,
    child_of,
    environment,
    first_user,
    kill_group,
    rows,
    runs_in,
    small_customer,
    started,
)

NAMES = ("ann", "bob", "cid")
# Sends itself a signal as a commit returns, once: the moment at which the writer does not know yet that it has written.
COMMIT = """
import os, signal, sys
from deltalake import DeltaTable
import deltalake.transaction as transaction
from capflow_assets.graph.engine import Engine
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.written_files import written

number, kind = getattr(signal, sys.argv[2]), sys.argv[3]
if number == signal.SIGTERM:  # as Dagster sets it
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
real = DeltaTable.create_write_transaction
engine = Engine()
lake = Lake(sys.argv[1], lambda: engine.spark_session)

def signalled(*arguments, **named):
    real(*arguments, **named)
    os.kill(os.getpid(), number)

spark = lake.spark()
with written(lake, spark.range(5), "acme", "raw/things") as files:
    files.commit({"id": "bigint"}, "overwrite")
DeltaTable.create_write_transaction = signalled
try:
    with written(lake, spark.range(7), "acme", "raw/things") as files:
        files.commit({"id": "bigint"}, kind)
except KeyboardInterrupt:
    os._exit(42)
"""
# A run of Dagster's own of several customers, as its daemon starts one.
COHORT = """
import sys
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
repository = ReconstructableRepository.for_module("capflow_assets.definitions", "defs")
job = ReconstructableJob(repository, "__ASSET_JOB")
tags = {"dagster/asset_partition_range_start": "ann", "dagster/asset_partition_range_end": "cid"}
with dg.DagsterInstance.get() as instance:
    result = dg.execute_job(job, instance, tags=tags, raise_on_error=False,
        asset_selection=[dg.AssetKey(["raw", "bills"]), dg.AssetKey(["clean", "bills"])],
        run_config={"ops": {"customer_tables": {"config": {"full": True}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            print(event.step_failure_data.user_failure_data.description)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three onboarded customers."""
    folder = tmp_path_factory.mktemp("interrupts")
    test_home = TestHome(folder / "home")
    for seed, name in enumerate(NAMES):
        test_home.ok("onboard", str(small_customer(folder, name, seed)))
    return test_home.root


@pytest.fixture
def command(home: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `capflow` on the home, in which nothing is under way; what it says is in ``tmp_path / "said"``."""
    processes = []
    if runs_in(home, "STARTED"):  # of a test that failed, and said so
        end_runs(Home(home))

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        processes.append(started(home, *arguments, log=tmp_path / "said"))
        return processes[-1]

    yield start
    for process in processes:
        kill_group(process)


def until(condition: Callable[[], object], seconds: float = 150) -> None:
    """Wait for what has to come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "kind"), [("SIGINT", "overwrite"), ("SIGTERM", "append")])
def test_an_interrupt_as_the_commit_returns_loses_nothing(tmp_path: Path, number: str, kind: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", COMMIT, str(tmp_path), number, kind], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 42, process.stderr
    from deltalake import DeltaTable

    table = DeltaTable(str(tmp_path / "acme" / "raw" / "things"))
    assert table.to_pyarrow_dataset().to_table().num_rows == (7 if kind == "overwrite" else 12)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_an_interrupt_ends_the_whole_command(home: Path, command, tmp_path: Path, number: int, code: int) -> None:
    finished = runs_in(home, "SUCCESS")
    process = command("run", *NAMES, "--full", "--select", TABLES)
    until(lambda: runs_in(home, "STARTED"))
    os.killpg(process.pid, number)
    assert process.wait(120) == code
    said = (tmp_path / "said").read_text()
    assert "interrupted; what is done is kept; next: the same command" in said
    assert "Traceback" not in said
    assert runs_in(home, "SUCCESS") - finished < len(NAMES), "the customers after it were not begun"
    assert not runs_in(home, "STARTED"), "its run is ended in Dagster's records"
    assert not runs_in(home, "NOT_STARTED")


def test_a_signal_to_the_child_alone_ends_the_command_too(home: Path, command, tmp_path: Path) -> None:
    process = command("run", *NAMES, "--full", "--select", TABLES)
    until(lambda: runs_in(home, "STARTED"))
    os.kill(child_of(process), signal.SIGTERM)
    assert process.wait(120) == 143
    assert "interrupted" in (tmp_path / "said").read_text()


def test_a_death_costs_one_customer(home: Path, command, tmp_path: Path) -> None:
    finished, failed = runs_in(home, "SUCCESS"), runs_in(home, "FAILURE")
    process = command("run", *NAMES, "--full", "--select", TABLES, "--processes", "1")
    until(lambda: runs_in(home, "STARTED"))
    os.kill(child_of(process), signal.SIGSEGV)
    assert process.wait(120) == 1
    said = (tmp_path / "said").read_text()
    assert "killed by SIGSEGV" in said
    assert "✗ ann" in said
    assert "✓ bob: 3 done" in said
    assert "✓ cid: 3 done" in said
    assert runs_in(home, "SUCCESS") - finished == 2
    assert runs_in(home, "FAILURE") - failed == 1
    assert not runs_in(home, "STARTED")
    assert "ended run" not in said, "its record says how it died, not only that its process is gone"


def test_the_death_of_who_hands_customers_out_costs_nobody(home: Path, command, tmp_path: Path) -> None:
    process = command("run", *NAMES, "--full", "--select", TABLES, "--processes", "2")
    until(lambda: runs_in(home, "STARTED"))
    os.kill(child_of(process), signal.SIGSEGV)
    assert process.wait(120) == 0
    said = (tmp_path / "said").read_text()
    assert "killed by SIGSEGV" in said
    assert all(f"✓ {name}: 3 done" in said for name in NAMES), said
    assert not runs_in(home, "STARTED")


def test_a_death_while_made_anew_does_not_forget_a_second_time(home: Path, command, tmp_path: Path) -> None:
    receipts = home / "lake" / "cid" / "receipts"
    process = command("forget", "cid", first_user(home, "cid"), "--yes", "--rerun")
    until(lambda: runs_in(home, "STARTED"))
    os.kill(child_of(process), signal.SIGSEGV)
    assert process.wait(120) == 1
    said = (tmp_path / "said").read_text()
    assert said.count("forgot a user of cid") == 1, said
    assert len(list(receipts.iterdir())) == 1
    assert "killed by SIGSEGV" in said


def test_the_child_does_not_outlive_a_killed_parent(home: Path, command) -> None:
    process = command("run", *NAMES, "--full", "--select", TABLES)
    until(lambda: runs_in(home, "STARTED"))
    child = child_of(process)
    process.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), 60)


@pytest.fixture
def cohort(home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of all customers in one step."""
    variables = environment() | {"CAPFLOW_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    with (tmp_path / "said").open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", COHORT], stdout=sink, stderr=sink, env=variables, start_new_session=True
        )
    yield process
    kill_group(process)


def computing(process: subprocess.Popen[bytes]) -> int:
    """The process in which the cohort is computed."""
    pids: list[int] = []

    def look() -> bool:
        assert process.poll() is None, "the cohort was over before it computed"
        for file in Path(f"/proc/{process.pid}/task").glob("*/children"):
            with suppress(OSError):  # threads and processes end meanwhile
                for pid in file.read_text().split():
                    if b"cohort_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        pids.append(int(pid))
        return bool(pids)

    until(look)
    return pids[0]


def test_a_death_in_a_cohort_costs_one_customer(home: Path, cohort, tmp_path: Path) -> None:
    finished = {name: rows(home, name) for name in NAMES}
    os.kill(computing(cohort), signal.SIGKILL)
    cohort.wait(120)
    said = (tmp_path / "said").read_text()
    assert "1 of 3 customers failed: ann" in said
    assert "the process that computed died: killed by SIGKILL; probably out of memory" in said
    assert {name: rows(home, name) for name in NAMES} == finished | {
        name: finished[name] | rows(home, name) for name in ("bob", "cid")
    }
    assert {"raw/bills", "clean/bills"} <= set(rows(home, "bob")) & set(rows(home, "cid"))


def test_a_cohort_that_is_canceled_or_killed_leaves_no_process(cohort) -> None:
    child = computing(cohort)
    cohort.send_signal(signal.SIGINT)
    cohort.wait(120)
    until(lambda: not Path(f"/proc/{child}").exists(), 60)


def test_the_process_of_a_killed_cohort_ends(cohort) -> None:
    child = computing(cohort)
    cohort.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), 60)
