"""Two who write one customer, and one who is killed at it: `capflow` as processes of its own, with real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from capflow_assets.graph.gone_runs import gone_runs
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.processes.customer_lock import INHERITED, customer_lock
from capflow_assets.processes.run_processes import HOST, MACHINE, PROCESS, STARTED, evidence, started, this_process
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome, own_environment
from capflow_assets_doubles.page_server import environment, serving
from capflow_assets_tests.kills import runs_in
from capflow_assets_tests.platform.services import capflow
from capflow_assets_tests.reliability import record

TABLES = ("--select", "raw/bills,clean/bills,features/rfm")
EARLY = "2024-12-31"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATE = "query State($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.fixture(scope="module")
def onboarded(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``acme``, of whom nothing has landed. Do not change it."""
    folder = tmp_path_factory.mktemp("killed")
    brand = tiny("acme", seed=3, users=200, campaigns=0, affinities=0, sends=("bills",))
    home = TestHome(folder / "home")
    home.ok("onboard", str(write(simulate(brand), folder / "files", settings=FEW_FEATURES)))
    return home


@pytest.fixture
def home(onboarded: TestHome, tmp_path: Path) -> TestHome:
    return onboarded.copied(tmp_path / "home")


@contextmanager
def begun(home: TestHome, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`capflow` at work, once the process that carries it out holds acme's lock."""
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home.root)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: parent_of(holder(home).get("pid", 0)) == process.pid)
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def holder(home: TestHome) -> dict[str, Any]:
    file = home.root / "locks" / "customer-acme.lock"
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


def parent_of(pid: int) -> int:
    """The process that started another; 0 where that one is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def wait(look: Any, seconds: float = 240) -> Any:
    until = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)
    return answer


@contextmanager
def instance_of(home: TestHome) -> Iterator[dg.DagsterInstance]:
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        yield instance


def runs(home: TestHome) -> list[dg.DagsterRun]:
    with instance_of(home) as instance:
        return list(instance.get_runs())


def kill_at_work(home: TestHome) -> str:
    """The id of a run that was killed while its process wrote."""
    with begun(home, "run", "acme", *TABLES) as process:
        wait(lambda: runs_in(home.root, "STARTED"))
        child = holder(home)["pid"]
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait(lambda: not started(child))  # it ends itself once nobody watches over it
    (run,) = (run for run in runs(home) if run.status == dg.DagsterRunStatus.STARTED)
    return run.run_id


def waiting(home: TestHome, *arguments: str) -> subprocess.Popen[str]:
    """A command on acme as soon as it says that it waits."""
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home.root)]
    process = subprocess.Popen(command, env=stranger(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = next(line for line in process.stderr if "waiting for" in line)
    assert f"waiting for acme, which is in use: a test, process {os.getpid()} on" in said
    return process


def stranger() -> dict[str, str]:
    """The variables of a process that has no part in this one's lock."""
    return {name: value for name, value in environment().items() if name != INHERITED}


def test_two_terminals_write_one_after_the_other_and_the_later_ones_rows_are_there(home):
    with customer_lock(Home.of(home.root, {}), "acme", "a test", is_lent=False):
        at_once = capflow(home.root, "run", "acme", *TABLES, "--fail")
        both = [waiting(home, "run", "acme", *TABLES, "--as-of", EARLY), waiting(home, "run", "acme", *TABLES)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert at_once.returncode == 1
    assert f"Came: a test, process {os.getpid()} on" in at_once.stderr
    last, first = runs(home)
    assert (last.status, first.status) == (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS)
    as_of = last.run_config["ops"]["customer_tables"]["config"]["as_of"]
    expected = as_of or max(row["billed_at"] for row in home.rows("clean/bills", "acme"))[:10]
    assert {str(row["as_of"])[:10] for row in home.rows("features/rfm", "acme")} == {expected}
    assert not list((home.root / "lake/acme").glob("_staging*"))


def test_an_interrupt_ends_the_waiting(home):
    with customer_lock(Home.of(home.root, {}), "acme", "a test", is_lent=False):
        process = waiting(home, "run", "acme", *TABLES)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=240)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not runs(home)


def test_who_waited_for_a_retirement_brings_nothing_of_the_customer_back(home):
    with customer_lock(Home.of(home.root, {}), "acme", "a test", is_lent=False):
        begun = [
            waiting(home, "run", "acme", *TABLES),
            waiting(home, "forget", "acme", "u1", "--yes", "--anyway"),
            waiting(home, "retire", "acme", "--yes", "--anyway"),
        ]
        home.ok("retire", "acme", "--yes", "--anyway")  # of this process, which holds the lock
    said = [process.communicate(timeout=240)[1] for process in begun]
    assert [process.returncode for process in begun] == [1, 1, 1], said
    assert "retired while its lock was waited for" in said[0]
    assert [file.name for file in home.root.rglob("*acme*") if file.parent.name != "receipts"] == []
    assert len(list((home.root / "receipts").glob("retire-acme-*"))) == 1
    with instance_of(home) as instance:
        assert instance.get_dynamic_partitions("customer") == []


def test_the_next_command_ends_a_killed_run_and_clears_up_after_it(home):
    killed = kill_at_work(home)
    left = home.root / "lake/acme/_staging.clean.bills.0123456789abcdef"
    left.mkdir(parents=True)
    said = capflow(home.root, "status")
    assert f"ended run {killed[:8]} of acme (process " in said.stderr
    assert "its process is gone" in said.stderr
    (run,) = runs(home)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert capflow(home.root, "run", "acme", *TABLES).returncode == 0
    assert not left.exists()
    assert not list((home.root / "locks").glob("process-*"))


def test_a_run_that_goes_on_is_left_alone(home):
    with begun(home, "run", "acme", *TABLES) as process:
        wait(lambda: runs_in(home.root, "STARTED"))
        assert "ended run" not in capflow(home.root, "status").stderr
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert {run.status for run in runs(home)} == {dg.DagsterRunStatus.SUCCESS}


def test_the_sensor_ends_a_killed_run_and_cleans_each_customer_once_a_day(home):
    from capflow_assets.definitions import defs

    kill_at_work(home)
    left = home.root / "lake/acme/raw/bills/landing-0123456789abcdef"
    left.mkdir(parents=True, exist_ok=True)
    with instance_of(home) as instance:
        sensor = next(sensor for sensor in defs.sensors or () if sensor.name == "housekeeping")
        with dg.build_sensor_context(instance=instance, definitions=defs) as context:
            tick = sensor.evaluate_tick(context)
        assert "its process is gone" in tick.skip_message
        assert "landing-0123456789abcdef" in tick.skip_message
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
        assert not left.exists()
        left.mkdir()
        with dg.build_sensor_context(instance=instance, definitions=defs, cursor=tick.cursor) as context:
            assert sensor.evaluate_tick(context).skip_message == "nothing to clear up"


def test_a_killed_run_that_was_being_cancelled_is_cancelled_and_its_slots_are_free(home):
    killed = kill_at_work(home)
    with instance_of(home) as instance:
        instance.report_run_canceling(instance.get_run_by_id(killed))
        storage = instance.event_log_storage
        storage.set_concurrency_slots("engine", 1)
        storage.claim_concurrency_slot("engine", killed, "step")
    home.ok("status")
    with instance_of(home) as instance:
        assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.CANCELED
        assert instance.event_log_storage.get_concurrency_info("engine").active_slot_count == 0


def test_what_is_known_of_a_process(tmp_path, monkeypatch):
    home = Home.of(tmp_path, {})
    tags = this_process(home).tags("r1")
    assert evidence(home, tags, "r1") == "alive"
    # Who executes a run again copies its tags, which tell nothing of the new run.
    assert evidence(home, tags, "r2") == "unknown"
    assert evidence(home, {}, "r1") == "unknown"
    other = {**tags, PROCESS: "0123456789abcdef/r1"}
    assert evidence(home, other, "r1") == "alive", "its lock is free, but the process is there"
    # The same process id, given out again.
    assert evidence(home, {**other, STARTED: "1"}, "r1") == "gone"
    # Another container on this kernel; another host that shares the home.
    boot = tags[MACHINE].split("/")[0]
    assert evidence(home, {**other, MACHINE: f"{boot}/pid:[1]"}, "r1") == "gone"
    elsewhere = {**other, MACHINE: "another/pid:[1]", HOST: "elsewhere"}
    assert evidence(home, elsewhere, "r1") == "seems gone"


@pytest.mark.parametrize("is_listened_at", [True, False])
def test_a_run_that_was_killed_before_it_named_its_process_is_known_by_its_launcher(tmp_path, is_listened_at):
    place = tmp_path / "code.sock"
    origin = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", socket=str(place)), "any")
    run = dg.DagsterRun(
        "job",
        status=dg.DagsterRunStatus.STARTED,
        tags={".dagster/grpc_info": json.dumps({"host": "localhost", "socket": str(place)})},
        remote_job_origin=RemoteJobOrigin(origin, "job"),
    )
    with dg.DagsterInstance.ephemeral() as instance, socket.socket(socket.AF_UNIX) as code:
        if is_listened_at:
            code.bind(str(place))
            code.listen()
        instance.add_run(run)
        reports = [gone.evidence for gone in gone_runs(instance, Home.of(tmp_path, {}))]
    assert reports == ([] if is_listened_at else ["seems gone"])


@pytest.mark.long
def test_the_queue_takes_the_customer_again_when_a_terminal_was_killed(home):
    """The page's run waits behind the killed one, the daemon ends that, and no command is needed."""
    killed = kill_at_work(home)
    with serving(home.root) as server:
        selector = {
            "repositoryLocationName": "capflow",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["raw", "bills"]}],
        }
        tags = [{"key": "dagster/partition", "value": "acme"}]
        params = {"selector": selector, "executionMetadata": {"tags": tags}}
        launched = server.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched

        def state(run: str) -> str:
            return server.ask(STATE, id=run)["runOrError"]["status"]

        server.wait(lambda: state(launched["run"]["runId"]) == "SUCCESS", 240)
        assert state(killed) == "FAILURE"


@pytest.mark.long
def test_twenty_kills_at_random_moments_leave_nothing_that_blocks(home):
    for number in range(20):
        with begun(home, "run", "acme", *TABLES, *(["--full"] if number % 2 else [])) as process:
            time.sleep(0.15 * number)
            process.send_signal(signal.SIGKILL)
    assert capflow(home.root, "run", "acme", *TABLES).returncode == 0
    states = [run.status for run in runs(home)]
    assert states[0] == dg.DagsterRunStatus.SUCCESS
    assert all(state in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE) for state in states)
    assert not list((home.root / "lake/acme").rglob("_staging*"))
    assert not list((home.root / "locks").glob("process-*"))
    record("kills of terminal runs at work", kills=20, runs_left_open=0)
