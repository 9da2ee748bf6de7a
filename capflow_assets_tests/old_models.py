"""Models as earlier releases kept them: MLflow's own files at absolute addresses without digests; former names."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from capflow_assets.definitions import STAGES
from capflow_assets.stores.champion_state import PAST
from capflow_assets.stores.former_types import FORMER_TYPES
from capflow_assets.stores.model_files import SCHEME
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import types_of
from capflow_assets_doubles.homes import TestHome, own_environment


def with_former_names(content: bytes) -> bytes:
    """A saved estimator that calls each type what it was called before it was moved."""
    former = {now: before for before, now in FORMER_TYPES.items()}

    def renamed(part: dict[str, Any]) -> dict[str, Any]:
        name = f"{part.get('__module__')}.{part.get('__class__')}"
        if name in former:
            part["__module__"], part["__class__"] = former[name].rsplit(".", 1)
        return part

    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as packed, ZipFile(buffer, "w") as target:
        for entry in packed.infolist():
            read = packed.read(entry)
            is_description = entry.filename == "schema.json"
            target.writestr(entry, json.dumps(json.loads(read, object_hook=renamed)) if is_description else read)
    return buffer.getvalue()


def as_the_first_release(source: TestHome, home: TestHome, customer: str) -> None:
    """In ``home``, a copy of ``source`` that nobody has opened yet: its newest versions registered as it was done then.

    Each twice where there is a champion, and the second is champion.
    """
    import mlflow
    import skops.io

    # MLflow remembers the databases that this process has opened.
    registry = Registry(f"sqlite:///{source.root / 'mlflow.db'}", str(source.root / "lake"))
    kept = {}
    for name in registry.models(customer):
        version = registry.versions(customer, name)[-1]
        estimator = registry.load(customer, name, version, types_of(STAGES.model(name).model))
        files = {file: registry.file(customer, name, version, file) for file in ("report.json", "reference.json")}
        kept[name] = (estimator, files, registry.champion(customer, name) is not None)
    (home.root / "mlflow.db").unlink()
    for name in kept:
        for file in sorted((home.root / "lake" / customer / "mlflow" / name).rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
    uri = f"sqlite:///{home.root / 'mlflow.db'}"
    with own_environment(), _tracking(uri):
        client = mlflow.MlflowClient(uri, uri)
        for name, (estimator, files, is_champion) in kept.items():
            full = f"{customer}.{name}"
            place = (home.root / "lake" / customer / "mlflow" / name).resolve().as_uri()
            number = client.create_experiment(full, place)
            client.create_registered_model(full)
            for version in ("1", "2") if is_champion else ("1",):
                with mlflow.start_run(experiment_id=number), tempfile.TemporaryDirectory() as folder:
                    mlflow.log_metric("value", json.loads(files["report.json"])["metric"]["value"])
                    for file, content in files.items():
                        Path(folder, file).write_bytes(content)
                    mlflow.log_artifacts(folder, "report")
                    info = mlflow.sklearn.log_model(
                        estimator,
                        name="model",
                        serialization_format="skops",
                        skops_trusted_types=skops.io.get_untrusted_types(data=skops.io.dumps(estimator)),
                        pip_requirements=["capflow-assets"],
                    )
                client.create_model_version(full, info.model_uri, run_id=info.run_id, model_id=info.model_id)
                if is_champion:
                    client.set_registered_model_alias(full, "champion", version)
            if is_champion:
                client.set_registered_model_tag(full, PAST, "[1]")
        assert not [
            experiment for experiment in client.search_experiments() if experiment.artifact_location.startswith(SCHEME)
        ]


@contextlib.contextmanager
def _tracking(uri: str):
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
