"""Through the real page and daemon: a cohort's backfill as one Databricks run, and a run cancelled from the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets_doubles.databricks.steps import ON_SAIL, environment, home_of, settings
from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_doubles.homes import TestHome
from capflow_assets_doubles.page_server import Server, serving

CUSTOMERS = ("a1", "b2", "c3")
TABLES = ("raw/bills", "clean/bills")
TERMINATE = """
mutation Stop($id: String!) { terminateRun(runId: $id) { __typename } }
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    return home_of(tmp_path_factory.mktemp("daemon"), CUSTOMERS, broken=["b2"])


@pytest.fixture(scope="module")
def server(
    home: TestHome, plain_workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The platform with settings that send tables to the workspace."""
    file = settings(tmp_path_factory.mktemp("settings"), environment=ON_SAIL)
    with (
        environment(
            CAPFLOW_DATABRICKS=str(file), DATABRICKS_HOST=plain_workspace.url, DATABRICKS_TOKEN=plain_workspace.token
        ),
        serving(home.root) as running,
    ):
        yield running


def test_a_backfill_of_a_cohort_is_one_run_and_marks_only_the_failed_customer(
    server: Server, workspace: LocalWorkspace
) -> None:
    before = len(workspace.jobs.runs)
    done = server.finished_backfill(server.backfill(TABLES, CUSTOMERS))
    assert len(workspace.jobs.runs) == before + 1
    counts = done["assetBackfillData"]["assetBackfillStatuses"]
    statuses = {"/".join(status["assetKey"]["path"]): status for status in counts}
    ended = {
        key: (status["numPartitionsMaterialized"], status["numPartitionsFailed"]) for key, status in statuses.items()
    }
    assert ended == dict.fromkeys(TABLES, (2, 1))
    assert server.partitions("clean/bills")["materialized"] == ["a1", "c3"]
    (run,) = done["runs"]
    assert "b2: raw/bills" in " ".join(server.failures(run["runId"]).values())


def test_cancelling_in_the_page_cancels_in_databricks(
    server: Server, workspace: LocalWorkspace, tmp_path: Path
) -> None:
    workspace.faults.start_delay_s = 120.0
    before = len(workspace.jobs.runs)
    backfill = server.backfill(TABLES, ["a1"])
    server.wait(lambda: len(workspace.jobs.runs) > before, 200)
    run = list(workspace.jobs.runs.values())[-1]
    (started,) = server.wait(lambda: server.runs_of(backfill), 120)
    server.ask(TERMINATE, id=started)
    server.wait(lambda: run.state.ended, 120)
    assert run.state.result == "CANCELED"
    server.wait(lambda: server.ask(RUN, id=started)["runOrError"]["status"] == "CANCELED", 120)
