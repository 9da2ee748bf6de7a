"""The launcher against a workspace of your own: ``make test-databricks``, with these in the environment.

| variable | meaning |
|---|---|
| ``DATABRICKS_HOST``, ``DATABRICKS_TOKEN`` (or what else the SDK reads) | the workspace and who calls it |
| ``CAPFLOW_TEST_STAGING`` | a folder of a volume that the caller may write, ``/Volumes/…`` |
| ``CAPFLOW_TEST_LAKE`` | an ``s3://`` prefix that this machine and the compute reach |
| ``CAPFLOW_TEST_CLUSTERS`` | ``dedicated=ID,standard=ID``; serverless needs none |
| ``CAPFLOW_TEST_SECRETS`` | ``VARIABLE=scope/key,…`` for what the compute needs to reach the lake |

Left out elsewhere. What breaks the network or the compute on purpose is in ``test_launcher`` and runs locally only.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capflow_assets_doubles.databricks.steps import Cohort, home_of, launched, settings
from capflow_assets_doubles.homes import TestHome

pytestmark = [
    pytest.mark.skipif("DATABRICKS_HOST" not in os.environ, reason="needs a workspace: DATABRICKS_HOST is not set"),
    pytest.mark.timeout(3600),
]
TABLES = ("raw/bills", "clean/bills")
CUSTOMERS = ("a1", "b2", "c3")
SECRETS = "CAPFLOW_TEST_SECRETS"


def pairs(variable: str) -> dict[str, str]:
    """``a=b,c=d`` of a variable."""
    return dict(part.split("=", 1) for part in os.environ.get(variable, "").split(",") if part)


def computes() -> dict[str, Any]:
    """The computes that the environment offers."""
    offered: dict[str, Any] = {name: {"kind": "existing", "cluster_id": key} for name, key in clusters().items()}
    return offered | {"serverless": {"kind": "serverless"}}


def clusters() -> dict[str, str]:
    return pairs("CAPFLOW_TEST_CLUSTERS")


@pytest.fixture(scope="module")
def lake() -> str:
    return f"{os.environ['CAPFLOW_TEST_LAKE'].rstrip('/')}/capflow-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, lake: str) -> TestHome:
    """Three customers, one of whom sends no text; their files lie beside the lake, where the compute reaches them."""
    return home_of(tmp_path_factory.mktemp("real"), CUSTOMERS, broken=["b2"], upload_to=f"{lake}-files")


@pytest.fixture(scope="module")
def client() -> Any:
    from databricks.sdk import WorkspaceClient

    return WorkspaceClient()


def file_of(folder: Path, mode: str, lake: str, **changes: Any) -> Path:
    secrets = {name: dict(zip(("scope", "key"), at.split("/", 1), strict=True)) for name, at in pairs(SECRETS).items()}
    given = {"staging": os.environ["CAPFLOW_TEST_STAGING"], "compute": computes(), "poll_seconds": 2.0}
    return settings(folder, mode, **{**given, "secrets": secrets, **changes})


def runs_in(log: str) -> set[int]:
    """The Databricks runs that a Dagster run's log names."""
    return {int(number) for number in re.findall(r"Databricks run (\d+)", log)}


def submitted() -> set[int]:
    """The Databricks runs of the newest Dagster run of this process's home, while it goes on."""
    if "DAGSTER_HOME" not in os.environ or not Path(os.environ["DAGSTER_HOME"], "dagster.yaml").exists():
        return set()
    with dg.DagsterInstance.get() as instance:
        newest = instance.get_runs(limit=1)
        return (
            runs_in("\n".join(entry.user_message for entry in instance.all_logs(newest[0].run_id))) if newest else set()
        )


def check_cohort(cohort: Cohort) -> None:
    good = {(customer, table) for customer in ("a1", "c3") for table in TABLES}
    assert cohort.materialized >= good, cohort.failure
    assert ("b2", "raw/bills") not in cohort.materialized
    assert "1 of 3 customers failed: b2" in cohort.failure


@pytest.mark.parametrize("mode", [*clusters(), "serverless"])
def test_a_cohort_is_one_run_and_one_bad_customer_stays_alone(
    mode: str, home: TestHome, lake: str, tmp_path: Path
) -> None:
    own = home.copied(tmp_path / "home")
    with launched(own, file_of(tmp_path, mode, lake), CUSTOMERS, TABLES, CAPFLOW_LAKE=f"{lake}/{mode}") as cohort:
        check_cohort(cohort)
        assert len(runs_in(cohort.log)) == 1


def test_cancelling_the_step_cancels_the_run(home: TestHome, lake: str, client: Any, tmp_path: Path) -> None:
    import _thread

    def interrupt() -> None:
        while not submitted():
            time.sleep(0.2)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    own = home.copied(tmp_path / "home")
    with launched(own, file_of(tmp_path, "serverless", lake), ["a1"], TABLES, CAPFLOW_LAKE=f"{lake}/x") as cohort:
        assert not cohort.result.success
        (run,) = runs_in(cohort.log)
    thread.join()
    assert client.jobs.get_run(run).state.result_state.value == "CANCELED"
