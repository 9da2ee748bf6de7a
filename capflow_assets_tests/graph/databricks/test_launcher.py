"""The real launcher against a workspace that really runs the steps: what comes back, what goes wrong, what is left."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from capflow_assets_doubles.databricks.steps import ON_SAIL, STAGING, home_of, launched, settings
from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_doubles.homes import TestHome

TABLES = ("raw/bills", "clean/bills")
CUSTOMERS = ("a1", "b2", "c3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """Three customers, one of whom sends no text."""
    return home_of(tmp_path_factory.mktemp("cohort"), CUSTOMERS, broken=["b2"])


@pytest.fixture(scope="module")
def embedded(home: TestHome, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The first customer's clean bills as the embedded engine makes them."""
    own = home.copied(tmp_path_factory.mktemp("embedded") / "home")
    own.ok("run", CUSTOMERS[0], "--select", ",".join(TABLES))
    return own.rows("clean/bills", CUSTOMERS[0])


@pytest.fixture
def alone(tmp_path: Path) -> TestHome:
    """One customer in a home of its own."""
    return home_of(tmp_path, ["a1"])


@dataclass(frozen=True)
class Submitted:
    """Counts the runs that were submitted since it was made."""

    workspace: LocalWorkspace
    before: int

    def __len__(self) -> int:
        return sum(path.endswith("/jobs/runs/submit") for _, path in self.workspace.calls[self.before :])


@pytest.fixture
def submitted(workspace: LocalWorkspace) -> Submitted:
    """How many runs a test submitted, whenever asked."""
    return Submitted(workspace, len(workspace.calls))


@contextmanager
def tapped(workspace: LocalWorkspace, change: Callable[[str, bytes], bytes | None]) -> Iterator[None]:
    """Somebody sits on the line: sees every file that is uploaded, by its path, and may put another in its place."""
    answer = workspace.answer

    def tapping(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Any:
        if method == "PUT":
            path = unquote(target).split("?")[0].removeprefix("/api/2.0/fs/files")
            body = change(path, body) or body
        return answer(method, target, headers, body)

    workspace.answer = tapping  # type: ignore[method-assign]
    yield
    workspace.answer = answer  # type: ignore[method-assign]


def staged(workspace: LocalWorkspace) -> list[str]:
    """What lies in the staging folder besides the code."""
    folder = workspace.storage.place(STAGING)
    return [str(path.relative_to(folder)) for path in folder.glob("runs/*/*")]


@pytest.mark.parametrize("mode", ["dedicated", "standard", "serverless"])
def test_a_cohort_is_one_run_and_one_bad_customer_stays_alone(
    mode: str, home: TestHome, embedded: list[dict[str, Any]], cluster: LocalWorkspace, tmp_path: Path
) -> None:
    submitted = Submitted(cluster, len(cluster.calls))
    with launched(home.copied(tmp_path / "home"), settings(tmp_path, mode), CUSTOMERS, TABLES) as cohort:
        assert len(submitted) == 1
        assert not cohort.result.success
        good = {(customer, table) for customer in ("a1", "c3") for table in TABLES}
        assert {pair for pair in cohort.materialized if pair[0] != "b2"} == good, cohort.failure
        assert ("b2", "raw/bills") not in cohort.materialized
        assert "1 of 3 customers failed: b2" in cohort.failure
        assert "b2: raw/bills" in cohort.log
    assert not staged(cluster)
    assert TestHome(tmp_path / "home").rows("clean/bills", "a1") == embedded


def test_one_customer_brings_checks_metadata_and_logs_back(
    alone: TestHome, workspace: LocalWorkspace, tmp_path: Path
) -> None:
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], TABLES) as cohort:
        assert cohort.result.success, cohort.failure
        checks = {check.check_name for check in cohort.result.get_asset_check_evaluations()}
        assert {"schema", "landed"} <= checks
        events = cohort.result.asset_materializations_for_node("customer_tables")
        assert {event.metadata["dagster/row_count"].value > 0 for event in events} == {True}
        assert "Databricks run" in cohort.log


def test_the_command_line_runs_a_customer_on_databricks(
    alone: TestHome, workspace: LocalWorkspace, submitted: Submitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPFLOW_DATABRICKS", str(settings(tmp_path, environment=ON_SAIL)))
    alone.ok("run", "a1", "--select", "raw/bills,clean/bills,features/rfm")
    assert len(submitted) == 1
    assert alone.rows("features/rfm", "a1")


def test_staging_on_dbfs_serves_dedicated_clusters(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    file = settings(tmp_path, "dedicated", environment=ON_SAIL, staging="dbfs:/capflow/staging")
    with launched(alone, file, ["a1"], TABLES) as cohort:
        assert cohort.result.success, cohort.failure
        assert {table for _, table in cohort.materialized} == set(TABLES)
    assert not list(workspace.storage.place("dbfs:/capflow/staging").glob("runs/*/*"))


def test_the_code_is_uploaded_once(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    file = settings(tmp_path, environment=ON_SAIL)
    with launched(alone, file, ["a1"], ["raw/bills"]) as first:
        assert first.result.success
    before = len(workspace.calls)
    with launched(alone, file, ["a1"], ["raw/bills"]) as second:
        assert second.result.success
    wheels = [call for call in workspace.calls[before:] if call[1].endswith(".whl")]
    assert [method for method, _ in wheels] == ["HEAD"]


def test_only_the_cohorts_customers_are_told(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def see(path: str, content: bytes) -> None:
        if path.endswith("step.json"):
            seen.append(content)

    other = home_of(tmp_path / "two", ["a1", "z9"])
    file = settings(tmp_path, environment=ON_SAIL)
    with tapped(workspace, see), launched(other, file, ["a1"], ["raw/bills"]) as cohort:
        assert cohort.result.success
    (step,) = (json.loads(content) for content in seen)
    assert list(step["customers"]) == ["a1"]
    assert b"z9" not in seen[0]


def test_a_network_lost_in_the_middle_of_polling_is_waited_for(
    alone: TestHome, workspace: LocalWorkspace, submitted: Submitted, tmp_path: Path
) -> None:
    def lose() -> None:
        while not len(submitted):
            time.sleep(0.05)
        time.sleep(0.5)
        workspace.faults.lose_network(seconds=3)

    thread = threading.Thread(target=lose)
    thread.start()
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], TABLES) as cohort:
        assert cohort.result.success, cohort.failure
    thread.join()
    assert len(submitted) == 1


def test_a_submission_whose_answer_was_lost_runs_once(
    alone: TestHome, workspace: LocalWorkspace, tmp_path: Path
) -> None:
    runs = len(workspace.jobs.runs)
    workspace.faults.lose_answers(calls=1, on="jobs/runs/submit")
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], ["raw/bills"]) as cohort:
        assert cohort.result.success, cohort.failure
    assert len(workspace.jobs.runs) == runs + 1


def test_a_network_that_stays_away_ends_the_step_with_what_to_do(
    alone: TestHome, workspace: LocalWorkspace, tmp_path: Path
) -> None:
    workspace.faults.lose_network(on="jobs/runs/get")
    file = settings(tmp_path, environment=ON_SAIL, lost_minutes=0.02)
    with launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert "out of reach" in cohort.failure
        assert "lost_minutes" in cohort.failure


def test_too_many_requests_are_waited_out(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    workspace.faults.throttle(calls=3)
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], ["raw/bills"]) as cohort:
        assert cohort.result.success, cohort.failure


def test_a_cluster_that_never_starts_is_given_up(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    workspace.faults.never_starts = True
    file = settings(tmp_path, "dedicated", environment=ON_SAIL, start_minutes=0.02)
    with launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert "had not started after 0.02 minutes" in cohort.failure
        assert "quota" in cohort.failure
    assert ended(workspace) == "CANCELED"
    assert not staged(workspace)


def test_a_cluster_that_cannot_start_is_tried_again(
    alone: TestHome, workspace: LocalWorkspace, submitted: Submitted, tmp_path: Path
) -> None:
    workspace.faults.start_failure = "AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE"
    file = settings(tmp_path, "dedicated", environment=ON_SAIL, retries=2)
    with launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert "AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE" in cohort.failure
    assert len(submitted) == 3


def test_a_driver_that_dies_is_tried_again(
    alone: TestHome, workspace: LocalWorkspace, submitted: Submitted, tmp_path: Path
) -> None:
    workspace.faults.driver_dies_after_s, workspace.faults.deaths_left = 0.5, 1
    with launched(alone, settings(tmp_path, environment=ON_SAIL, retries=1), ["a1"], ["raw/bills"]) as cohort:
        assert cohort.result.success, cohort.failure
        retried = [event for event in cohort.result.all_events if event.is_step_up_for_retry]
        assert len(retried) == 1
        assert ("a1", "raw/bills") in cohort.materialized
    assert len(submitted) == 2


def test_a_driver_that_dies_and_no_try_left_says_so(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    workspace.faults.driver_dies_after_s = 0.5
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], ["raw/bills"]) as cohort:
        assert "before its step did" in cohort.failure
        assert not cohort.materialized


def test_a_run_that_takes_too_long_is_stopped(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    file = settings(tmp_path, environment=ON_SAIL, longest_hours=1 / 3600)
    with launched(alone, file, ["a1"], TABLES) as cohort:
        assert "took too long" in cohort.failure
        assert "longest_hours" in cohort.failure
    assert ended(workspace) in ("CANCELED", "TIMEDOUT")


def test_a_wrong_token_is_reported(
    alone: TestHome, workspace: LocalWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-of-somebody-else")
    with launched(alone, settings(tmp_path), ["a1"], ["raw/bills"]) as cohort:
        assert "Databricks refused a call" in cohort.failure
        assert "dapi-of-somebody-else" not in cohort.failure + cohort.log


def test_a_step_that_was_changed_is_not_done(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    def change(path: str, content: bytes) -> bytes | None:
        return content.replace(b'"a1"', b'"a2"') if path.endswith("step.json") else None

    file = settings(tmp_path, environment=ON_SAIL)
    with tapped(workspace, change), launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert "is not what was submitted" in cohort.failure
        assert not cohort.materialized


class Planted:
    """What runs when somebody unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.place),))

    def __init__(self, place: str) -> None:
        self.place = place


def test_events_of_strangers_are_not_taken_and_nothing_is_unpickled(
    alone: TestHome, workspace: LocalWorkspace, tmp_path: Path
) -> None:
    mark = tmp_path / "unpickled"
    forged = json.dumps({"token": "guessed", "event": "{}", "closed": {"error": "forged"}}).encode() + b"\n"

    def plant(path: str, content: bytes) -> None:
        if path.endswith("step.json"):
            place = workspace.storage.place(path.removesuffix(".step.json"))
            place.parent.mkdir(parents=True, exist_ok=True)
            for name in ("events.pkl", "0_events.pkl"):
                place.with_name(name).write_bytes(pickle.dumps(Planted(str(mark))))
            place.with_name(place.name + ".events-1.jsonl").write_bytes(forged)

    file = settings(tmp_path, environment=ON_SAIL)
    with tapped(workspace, plant), launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert "forged" not in cohort.failure
        assert not mark.exists()
    for planted in workspace.storage.place(STAGING).glob("runs/*/*events.pkl"):
        planted.unlink()


def test_cancelling_the_step_cancels_the_run(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    import _thread

    runs = len(workspace.jobs.runs)
    workspace.faults.start_delay_s = 30.0

    def interrupt() -> None:
        while len(workspace.jobs.runs) == runs:
            time.sleep(0.05)
        time.sleep(0.3)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with launched(alone, settings(tmp_path, environment=ON_SAIL), ["a1"], ["raw/bills"]) as cohort:
        assert not cohort.result.success
    thread.join()
    assert ended(workspace) == "CANCELED"
    assert not staged(workspace)


def test_secrets_reach_the_step_and_nothing_else(alone: TestHome, workspace: LocalWorkspace, tmp_path: Path) -> None:
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(host=workspace.url, token=workspace.token)
    client.secrets.create_scope("shop")
    client.secrets.put_secret("shop", "lake", string_value=str(alone.root / "lake"))
    seen: list[bytes] = []
    file = settings(tmp_path, environment=ON_SAIL, secrets={"CAPFLOW_LAKE": {"scope": "shop", "key": "lake"}})
    see = lambda path, content: seen.append(content)  # noqa: E731
    with tapped(workspace, see), launched(alone, file, ["a1"], ["raw/bills"]) as cohort:
        assert cohort.result.success, cohort.failure
    assert alone.rows("raw/bills", "a1")
    staged_text = b"".join(content for content in seen if content.startswith(b"{"))
    assert str(alone.root / "lake").encode() not in staged_text


def ended(workspace: LocalWorkspace) -> str:
    """The result of the newest run, waited for: a workspace ends a run some moments after it was told to."""
    newest = list(workspace.jobs.runs.values())[-1]
    until = time.monotonic() + 60
    while not newest.state.ended:
        assert time.monotonic() < until, "the run goes on"
        time.sleep(0.05)
    return newest.state.result or newest.state.life
