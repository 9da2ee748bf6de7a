"""Homes whose steps go to Databricks, and cohorts that are launched on them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import tomlkit

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import TestHome

STAGING = "/Volumes/main/capflow/staging"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# Most of what can go wrong is about runs, not about Spark: such steps compute on the embedded engine, over there.
ON_SAIL = {"CAPFLOW_ENGINE": "sail"}
COMPUTE = {
    "dedicated": {"kind": "existing", "cluster_id": "dedicated-1"},
    "standard": {"kind": "existing", "cluster_id": "standard-1"},
    "serverless": {"kind": "serverless"},
}


def settings(folder: Path, mode: str = "serverless", **changes: Any) -> Path:
    """A settings file that sends the tables of customers to the compute called ``mode``."""
    given = {
        "staging": STAGING,
        "poll_seconds": 0.1,
        "retries": 0,
        "runs_on": {"customer_tables": mode, "*": "orchestrator"},
        "compute": COMPUTE,
        **changes,
    }
    file = folder / "databricks.toml"
    file.write_text(tomlkit.dumps(given))
    return file


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These variables are set for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def home_of(
    folder: Path, customers: Sequence[str], broken: Sequence[str] = (), users: int = 40, upload_to: str = ""
) -> TestHome:
    """A home with small customers who send bills; the ``broken`` ones' file holds something else.

    With ``upload_to`` their files lie there, and not in the folder.
    """
    home = TestHome(folder / "home")
    for number, name in enumerate(customers):
        brand = tiny(name, seed=number, users=users, days=60, sends=("bills",))
        toml = write(simulate(brand), folder / "files" / name)
        if name in broken:
            for file in (folder / "files" / name).rglob("bills*.csv"):
                file.write_bytes(b"\x1f\x8b this is no text")
        if upload_to:
            _upload(folder / "files" / name, f"{upload_to}/{name}")
            toml.write_text(f'base = "{upload_to}/{name}"\n{toml.read_text()}')
        home.ok("onboard", str(toml))
    return home


def _upload(folder: Path, place: str) -> None:
    from pyarrow import fs

    store, path = fs.FileSystem.from_uri(place if "://" in place else Path(place).resolve().as_uri())
    store.create_dir(path, recursive=True)
    fs.copy_files(str(folder), path, destination_filesystem=store)


@dataclass(frozen=True)
class Cohort:
    """A run of several customers and what is recorded of it."""

    result: dg.ExecuteInProcessResult
    instance: dg.DagsterInstance

    @property
    def materialized(self) -> set[tuple[str, str]]:
        """Customer and table of each materialization that was recorded."""
        records = self.instance.get_records_for_run(
            self.result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records
        events = [record.event_log_entry.asset_materialization for record in records]
        return {(str(event.partition), "/".join(event.asset_key.path)) for event in events if event}

    @property
    def failure(self) -> str:
        """What the failed step says, in the words that the page shows."""
        failures = []
        for event in self.result.all_events:
            if event.is_step_failure:
                data = event.step_failure_data
                user = data.user_failure_data.description if data.user_failure_data else ""
                failures.append(f"{user or ''}\n{data.error.to_string() if data.error else ''}")
        return "\n".join(failures)

    @property
    def log(self) -> str:
        """All messages of the run's log."""
        return "\n".join(entry.user_message for entry in self.instance.all_logs(self.result.run_id))


@contextmanager
def launched(
    home: TestHome, file: Path, customers: Sequence[str], tables: Sequence[str], **variables: str
) -> Iterator[Cohort]:
    """A cohort's run on the home, launched in this process with the settings of ``file``."""
    from capflow_assets.definitions import defs
    from capflow_assets.graph.launch import dagster_instance
    from capflow_assets.home.places import Home

    place = Home.of(home.root)
    kept = {name: os.environ.get(name, "") for name in ("CAPFLOW_HOME", "DAGSTER_HOME")}
    with environment(**kept, CAPFLOW_DATABRICKS=str(file), **variables), dagster_instance(place) as instance:
        instance.add_dynamic_partitions("customer", list(customers))
        job = defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(table.split("/")) for table in tables],
            tags=partitions(customers),
            run_config=QUIET,
            raise_on_error=False,
        )
        yield Cohort(result, instance)


def partitions(customers: Sequence[str]) -> Mapping[str, str]:
    """The tags by which Dagster knows the customers of a run."""
    if len(customers) == 1:
        return {"dagster/partition": customers[0]}
    return {
        "dagster/asset_partition_range_start": customers[0],
        "dagster/asset_partition_range_end": customers[-1],
    }
