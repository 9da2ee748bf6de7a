"""``capflow retire``: a customer goes altogether: tables, models, records, TOML and key.

First the TOML goes, so that no sensor, schedule or person starts anything for the customer; then the lake's prefix, the
entries in MLflow and the records in Dagster; last the partition, and with it the customer's name. What was broken off
can be begun again: a customer is known as long as any of it is there. A receipt stays in ``{home}/receipts``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.erasure.receipts import who
from capflow_assets.errors import CapflowError, NotFoundError
from capflow_assets.graph.onboarding import write_atomically
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.records import DagsterRecords, log_files, overwrite_deleted, refuse_running, runs_of
from capflow_assets.home.keys import VARIABLE, destroy_key
from capflow_assets.processes.customer_lock import customer_lock, forget_name
from capflow_assets.serving.tokens import revoke
from capflow_assets.stores.answer_stores import answers_of
from capflow_assets.stores.erased_history import remove_old_objects
from capflow_assets.stores.model_files import SCHEME
from capflow_assets.stores.places import files_below, remove_folder
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.shared_examples import SharedExamples

SQLITE = "sqlite:///"
BATCH = 500


@dataclass
class Retired:
    """What went of a customer. ``remains`` says what is left, where, and what to do about it."""

    customer: str
    reason: str
    by: str
    at: str
    code_version: str
    toml_sha256: str = ""
    tables: list[str] = field(default_factory=list)
    files_removed: int = 0
    models: list[str] = field(default_factory=list)
    experiments: int = 0
    mlflow_runs: int = 0
    dagster_runs: int = 0
    dagster_events: int = 0
    is_key_destroyed: bool = False
    remains: list[str] = field(default_factory=list)
    place: str = ""

    def lines(self) -> list[str]:
        """The receipt in words."""
        return [
            f"retired {self.customer}",
            f"  {len(self.tables)} tables and {self.files_removed:,} files of the lake",
            f"  {len(self.models)} models, {self.experiments} experiments and {self.mlflow_runs} runs of MLflow",
            f"  {self.dagster_runs} runs and {self.dagster_events} other events of Dagster",
            f"  key: {'destroyed' if self.is_key_destroyed else 'none kept in the home'}",
            *(f"  remains: {remainder}" for remainder in self.remains),
            f"  receipt: {self.place}",
        ]


def retire(
    deployment: Deployment,
    instance: dg.DagsterInstance,
    customer: str,
    reason: str,
    anyway: bool = False,
    wait: float | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Retired:
    """Remove a customer and write the receipt.

    Raises:
        NotFoundError: nothing is left of such a customer here; names those that are.
        CapflowError: a run of the customer has not ended, and not ``anyway``.
        InUseError: somebody else writes the customer for longer than ``wait`` seconds.
    """
    require_any(deployment, instance, customer)
    with customer_lock(deployment.home, customer, "capflow retire", wait, say):
        require_any(deployment, instance, customer)  # it may be another `retire` that was waited for
        if not anyway:
            refuse_running(instance, customer)
        receipt = _retire_held(deployment, instance, customer, reason)
        forget_name(deployment.home, customer)
    return receipt


def _retire_held(deployment: Deployment, instance: dg.DagsterInstance, customer: str, reason: str) -> Retired:
    receipt = Retired(customer, reason, who(), datetime.now(UTC).isoformat(), package_version("capflow-assets"))
    toml = deployment.home.customers / f"{customer}.toml"
    if toml.exists():
        receipt.toml_sha256 = hashlib.sha256(toml.read_bytes()).hexdigest()
        toml.unlink()
    receipt.tables = deployment.lake.tables(customer)
    _remove_models(deployment.registry, deployment.lake.prefix(customer), receipt)
    _remove_lake(deployment, receipt)
    revoke(deployment.home, customer)
    try:
        answers_of(deployment.home, customer).remove()
    except CapflowError as error:
        words = str(error).splitlines()[0]
        receipt.remains.append(f"its online answers, whose store has to be emptied by hand: {words}")
    _remove_records(instance, receipt)
    receipt.is_key_destroyed = destroy_key(deployment.home, customer)
    if not receipt.is_key_destroyed:
        receipt.remains.append(f"the customer's key, if one was used, can be derived again from {VARIABLE}")
    instance.delete_dynamic_partition(str(CUSTOMERS.name), customer)
    at = datetime.fromisoformat(receipt.at).strftime("%Y%m%dT%H%M%S%fZ")
    place = deployment.home.root / "receipts" / f"retire-{customer}-{at}.json"
    content = {name: value for name, value in asdict(receipt).items() if name != "place"}
    write_atomically(place, json.dumps(content, indent=2))
    receipt.place = str(place)
    return receipt


def require_any(deployment: Deployment, instance: dg.DagsterInstance, customer: str) -> None:
    """Refuse a customer of whom nothing is here: no TOML, no partition, no file in the lake.

    Raises:
        NotFoundError: names those who are.
    """
    known = {*deployment.customers(), *instance.get_dynamic_partitions(str(CUSTOMERS.name))}
    if customer not in known and not files_below(deployment.lake.prefix(customer)):
        raise NotFoundError.among("customer", customer, known)


def _remove_lake(deployment: Deployment, receipt: Retired) -> None:
    place = deployment.lake.prefix(receipt.customer)
    if not place.startswith("s3://") and Path(place).is_symlink():
        receipt.remains.append(f"the files where {place} led, outside of this home's lake: {Path(place).resolve()}")
        Path(place).unlink()
        return
    receipt.files_removed = remove_folder(place)
    try:
        receipt.files_removed += SharedExamples(deployment.lake).remove(receipt.customer)
    except OSError as error:
        receipt.remains.append(f"examples shared with the vertical: {str(error).splitlines()[0]}")
    if not place.startswith("s3://"):
        return
    from botocore.exceptions import ClientError

    try:
        remove_old_objects(place)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        receipt.remains.append(f"older versions of objects, if the bucket keeps them: not looked at ({code})")


def _remove_models(registry: Registry, prefix: str, receipt: Retired) -> None:
    """The registered models, experiments, runs and logged models. Files outside of the prefix are only named."""
    client, customer = registry.client, receipt.customer
    receipt.models = registry.models(customer)
    for model in receipt.models:
        client.delete_registered_model(f"{customer}.{model}")
    store: Any = client._tracking_client.store  # what `mlflow gc` uses
    is_database = hasattr(store, "_hard_delete_run")
    experiments = _experiments(client, customer)
    for experiment in experiments:
        receipt.experiments += 1
        receipt.mlflow_runs += _remove_runs(client, store if is_database else None, experiment)
        _remove_experiment(client, store if is_database else None, experiment)
    elsewhere = [
        experiment.artifact_location
        for experiment in experiments
        if _is_elsewhere(experiment.artifact_location, prefix)
    ]
    if elsewhere:
        receipt.remains.append(
            f"what MLflow says of places outside of this home's lake, which were not touched: {', '.join(elsewhere)}"
        )
    if experiments and not is_database:
        ids = ",".join(experiment.experiment_id for experiment in experiments)
        receipt.remains.append(
            f"deleted runs in MLflow's database, until its host runs: mlflow gc --experiment-ids {ids}"
        )
    if is_database and registry.uri.startswith(SQLITE):
        with closing(sqlite3.connect(registry.uri.removeprefix(SQLITE))) as database:
            database.execute("VACUUM")  # else the pages of the deleted rows stay in the file


def _remove_experiment(client: Any, store: Any, experiment: Any) -> None:
    is_active = experiment.lifecycle_stage == "active"
    if not store and is_active:  # a new experiment of that name could not be made while the deleted one has it
        client.rename_experiment(experiment.experiment_id, f"retired-{experiment.experiment_id}")
    if is_active:
        client.delete_experiment(experiment.experiment_id)
    if store:
        store._hard_delete_experiment(experiment.experiment_id)


def _experiments(client: Any, customer: str) -> list[Any]:
    from mlflow.entities import ViewType

    experiments, token = [], None
    while token != "":
        page = client.search_experiments(
            view_type=ViewType.ALL, filter_string=f"name LIKE '{customer}.%'", page_token=token
        )
        experiments += [experiment for experiment in page if experiment.name.startswith(f"{customer}.")]
        token = page.token or ""
    return experiments


def _remove_runs(client: Any, store: Any, experiment: Any) -> int:
    """Delete the runs and logged models of an experiment, for good where ``store`` is a database."""
    from mlflow.entities import LifecycleStage, ViewType

    removed, experiments = 0, [experiment.experiment_id]
    while runs := client.search_runs(experiments, run_view_type=ViewType.ALL if store else ViewType.ACTIVE_ONLY):
        for run in runs:
            if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
                client.delete_run(run.info.run_id)
            if store:
                store._hard_delete_run(run.info.run_id)
            removed += 1
    while models := client.search_logged_models(experiments):
        for model in models:
            client.delete_logged_model(model.model_id)
            if store:
                store._hard_delete_logged_model(model.model_id)
    return removed


def _is_elsewhere(uri: str, prefix: str) -> bool:
    """Whether an address of MLflow leads out of the customer's prefix: that of another home, or of a server's store."""
    own = prefix if "://" in prefix else Path(prefix).resolve().as_uri()
    return not uri.startswith((f"{SCHEME}:/", f"{own}/", f"{prefix}/"))


def _remove_records(instance: dg.DagsterInstance, receipt: Retired) -> None:
    """The customer's runs with all that they recorded, and what cohorts recorded of the customer's partition."""
    if not DagsterRecords(instance).is_local:
        receipt.remains.append("what steps have printed, where CAPFLOW_COMPUTE_LOGS says: as long as that is kept")
    storage: Any = instance.event_log_storage
    runs = list(runs_of(instance, receipt.customer))
    for run in runs:
        for file in log_files(instance, run.run_id):
            file.unlink()
        remove_folder(str(Path(instance.storage_directory()) / run.run_id))
        instance.delete_run(run.run_id)
        if hasattr(storage, "path_for_shard"):
            storage.dispose()
            for end in ("", "-wal", "-shm", "-journal"):
                Path(f"{storage.path_for_shard(run.run_id)}{end}").unlink(missing_ok=True)
    receipt.dagster_runs = len(runs)
    shared: set[str] = set()
    with storage.index_connection() as connection:
        receipt.dagster_events = _remove_events(connection, receipt.customer, shared)
        _point_at_newest(connection, receipt.customer)
    if hasattr(storage, "path_for_shard"):
        for identifier in shared:
            with storage.run_connection(identifier) as connection:
                _remove_events(connection, receipt.customer, set())


def _remove_events(connection: Any, customer: str, runs: set[str]) -> int:
    """Delete the events of the customer's partition; the ``runs`` that recorded them are noted."""
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        AssetEventTagsTable,
        SqlEventLogStorageTable,
    )
    from sqlalchemy import select

    overwrite_deleted(connection)
    events = SqlEventLogStorageTable
    rows = connection.execute(select(events.c.id, events.c.run_id).where(events.c.partition == customer)).fetchall()
    runs |= {run for _, run in rows if run}
    event_ids = [identifier for identifier, _ in rows]
    for start in range(0, len(event_ids), BATCH):
        some = event_ids[start : start + BATCH]
        connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(some)))
        connection.execute(events.delete().where(events.c.id.in_(some)))
    checks = AssetCheckExecutionsTable
    connection.execute(checks.delete().where(checks.c.partition == customer))
    # Records of the whole fleet that name the customer would go on saying that it fails.
    named = checks.c.evaluation_event.contains(f'"{customer}"', autoescape=True)
    connection.execute(checks.delete().where(checks.c.partition.is_(None), named))
    return len(event_ids)


def _point_at_newest(connection: Any, customer: str) -> None:
    """Assets whose newest materialization was the customer's: another's is that now, or none."""
    from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
    from sqlalchemy import select

    events, assets = SqlEventLogStorageTable, AssetKeyTable
    newest = select(events.c.event, events.c.run_id).where(events.c.dagster_event_type == "ASSET_MATERIALIZATION")
    rows = connection.execute(select(assets.c.asset_key, assets.c.last_materialization)).fetchall()
    for key, last in rows:
        values: dict[str, Any] = {"cached_status_data": None}  # which partitions are there
        if last and f'"{customer}"' in last:
            of_asset = newest.where(events.c.asset_key == key).order_by(events.c.id.desc()).limit(1)
            event, run = connection.execute(of_asset).first() or (None, None)
            values |= {"last_materialization": event, "last_run_id": run}
        connection.execute(assets.update().where(assets.c.asset_key == key).values(values))
