"""The model store: MLflow, with one registered model ``{customer}.{model}`` and the aliases champion and challenger.

Look-ups go by name and alias, never by listing, since listing thousands of registered models is slow. Artifacts lie
below the customer's own prefix of the lake. Estimators are saved with skops, which does not run code on loading; only
types of this package and of the numeric libraries are trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Estimator
from capflow_assets.errors import CapflowError, ModelError, NotFoundError

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRUSTED = ("capflow_assets.", "xgboost.", "sklearn.", "numpy.", "scipy.", "pandas.", "builtins.", "collections.")
REQUIREMENTS = ["capflow-assets"]
# Tags of a version that learned from users who are forgotten now.
FORGOTTEN = "capflow.forgotten"
# MLflow's rule for the names of metrics.
UNFIT = re.compile(r"[^\w\-. :/]")


@dataclass(frozen=True)
class Registry:
    """Register, load, promote, roll back and freeze the models of customers."""

    uri: str
    lake: str

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client, made on first use.

        Raises:
            StoreError: its SQLite file is damaged.
        """
        import logging

        # Downloads of a few kilobytes need no progress bar.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        import mlflow

        from capflow_assets.graph.databases import require_sound_mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        mlflow.set_tracking_uri(self.uri)
        with alone(self.uri):
            require_sound_mlflow(self.uri)
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def register(
        self,
        customer: str,
        model: str,
        estimator: Estimator,
        report: Mapping[str, Any],
        files: Mapping[str, bytes],
    ) -> int:
        """Log one trained model with its report, plots and reference, and give its version."""
        import mlflow

        client = self.client
        name = f"{customer}.{model}"
        with mlflow.start_run(experiment_id=self._experiment(customer, model), run_name=f"{name} {report['as_of']}"):
            mlflow.log_params({key: value for key, value in report["params"].items() if value is not None})
            mlflow.log_metrics(numbers(report))
            with tempfile.TemporaryDirectory() as folder:
                for file, content in {**files, "report.json": _json(report)}.items():
                    Path(folder, file).write_bytes(content)
                mlflow.log_artifacts(folder, "report")
            info = mlflow.sklearn.log_model(
                estimator,
                name="model",
                serialization_format="skops",
                skops_trusted_types=trusted_types(estimator),
                pip_requirements=REQUIREMENTS,
            )
        self._ensure(name)
        version = client.create_model_version(name, info.model_uri, run_id=info.run_id, model_id=info.model_id)
        return int(version.version)

    def load(self, customer: str, model: str, version: int) -> Estimator:
        """The fitted estimator of one version."""
        import mlflow

        _ = self.client
        return mlflow.sklearn.load_model(f"models:/{customer}.{model}/{version}")

    def champion(self, customer: str, model: str) -> int | None:
        """The version that scores, None where there is none yet."""
        return self._alias(customer, model, "champion")

    def challenger(self, customer: str, model: str) -> int | None:
        """The newest version that wants to score and does not, None where there is none."""
        return self._alias(customer, model, "challenger")

    def versions(self, customer: str, model: str) -> list[int]:
        """All versions, the oldest first."""
        found = self.client.search_model_versions(f"name = '{customer}.{model}'")
        return sorted(int(version.version) for version in found)

    def report(self, customer: str, model: str, version: int) -> dict[str, Any]:
        """What was measured and decided when this version was trained."""
        return dict(json.loads(self.file(customer, model, version, "report.json")))

    def file(self, customer: str, model: str, version: int, name: str) -> bytes:
        """One artifact that was logged beside a version."""
        run = str(self.client.get_model_version(f"{customer}.{model}", str(version)).run_id)
        with tempfile.TemporaryDirectory() as folder:
            return Path(self.client.download_artifacts(run, f"report/{name}", folder)).read_bytes()

    def artifacts(self, customer: str, model: str, version: int) -> str:
        """Where the report, the plots and the model of a version lie."""
        run = str(self.client.get_model_version(f"{customer}.{model}", str(version)).run_id)
        return str(self.client.get_run(run).info.artifact_uri)

    def challenge(self, customer: str, model: str, version: int, reason: str) -> None:
        """Name a version the challenger: it waits for a person, or for the next training."""
        self._tag(customer, model, version, "keep", reason)
        self.client.set_registered_model_alias(f"{customer}.{model}", "challenger", str(version))

    def promote(self, customer: str, model: str, version: int | None, reason: str) -> int:
        """Make a version (the challenger unless one is named) the champion, and remember the one before.

        Raises:
            ModelError: there is no challenger, or the model is frozen.
            NotFoundError: no such version.
        """
        chosen = version or self.challenger(customer, model)
        if chosen is None:
            raise ModelError(f"{customer}.{model} has no challenger to promote", do="name one: --version N")
        known = self.versions(customer, model)
        if chosen not in known:
            raise NotFoundError.among(f"version of {customer}.{model}", str(chosen), map(str, known))
        if self.frozen(customer, model):
            raise ModelError(f"{customer}.{model} is frozen", do=f"capflow freeze {customer} {model} --off")
        before = self.champion(customer, model)
        if before is not None and before != chosen:
            self._write_history(customer, model, [*self.history(customer, model), before])
        self._crown(customer, model, chosen, "promote", reason)
        return chosen

    def rollback(self, customer: str, model: str, reason: str) -> int:
        """Make the champion before the present one champion again.

        Raises:
            ModelError: there was none before, or the model is frozen.
        """
        past = self.history(customer, model)
        if self.frozen(customer, model):
            raise ModelError(f"{customer}.{model} is frozen", do=f"capflow freeze {customer} {model} --off")
        if not past:
            raise ModelError(f"{customer}.{model} has no champion to go back to")
        self._write_history(customer, model, past[:-1])
        self._crown(customer, model, past[-1], "rollback", reason)
        return past[-1]

    def freeze(self, customer: str, model: str, frozen: bool) -> None:
        """Keep the present champion whatever a training finds, or let trainings promote again."""
        self._must_exist(customer, model)
        self.client.set_registered_model_tag(f"{customer}.{model}", "frozen", str(frozen).lower())

    def frozen(self, customer: str, model: str) -> bool:
        """Whether trainings may not promote."""
        return self._tags(customer, model).get("frozen") == "true"

    def history(self, customer: str, model: str) -> list[int]:
        """Champions before the present one, the latest last."""
        return [int(version) for version in json.loads(self._tags(customer, model).get("past_champions", "[]"))]

    def decision(self, customer: str, model: str, version: int) -> dict[str, str]:
        """The last thing that was decided about a version (promote, keep, ask, rollback) and why."""
        tags = self.client.get_model_version(f"{customer}.{model}", str(version)).tags
        return {"action": tags.get("decision", ""), "reason": tags.get("reason", "")}

    def models(self, customer: str) -> list[str]:
        """The names of a customer's models, whether the code still has them or not."""
        # ``_`` stands for any character in the filter, so the names are looked at again.
        names: list[str] = []
        token: str | None = None
        while token is None or token:
            page = self.client.search_registered_models(f"name LIKE '{customer}.%'", page_token=token)
            names += [found.name for found in page]
            token = page.token or ""
        return sorted(name.removeprefix(f"{customer}.") for name in names if name.startswith(f"{customer}."))

    def mark_forgotten(self, customer: str, model: str, version: int, digest: str, at: str) -> None:
        """Mark a version as trained on data of a user who is forgotten now; once, however often it is said."""
        name = f"{customer}.{model}"
        self.client.set_model_version_tag(name, str(version), f"{FORGOTTEN}.{digest[:16]}", at)
        count = self.forgotten(customer, model, version)
        self.client.set_model_version_tag(name, str(version), FORGOTTEN, f"{count}, the last at {at}")

    def forgotten(self, customer: str, model: str, version: int) -> int:
        """How many users on whose data a version was trained are forgotten now."""
        tags = self.client.get_model_version(f"{customer}.{model}", str(version)).tags
        return sum(name.startswith(f"{FORGOTTEN}.") for name in tags)

    def _crown(self, customer: str, model: str, version: int, action: str, reason: str) -> None:
        name = f"{customer}.{model}"
        self._tag(customer, model, version, action, reason)
        self.client.set_registered_model_alias(name, "champion", str(version))
        if self.challenger(customer, model) == version:
            self.client.delete_registered_model_alias(name, "challenger")

    def _tag(self, customer: str, model: str, version: int, action: str, reason: str) -> None:
        name = f"{customer}.{model}"
        self.client.set_model_version_tag(name, str(version), "decision", action)
        self.client.set_model_version_tag(name, str(version), "reason", reason[:4000])

    def _experiment(self, customer: str, model: str) -> str:
        name = f"{customer}.{model}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = f"{self.lake}/{customer}/mlflow/{model}"
        return str(self.client.create_experiment(name, place if "://" in place else Path(place).resolve().as_uri()))

    def _ensure(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(name)

    def _alias(self, customer: str, model: str, alias: str) -> int | None:
        from mlflow.exceptions import MlflowException

        try:
            return int(self.client.get_model_version_by_alias(f"{customer}.{model}", alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _tags(self, customer: str, model: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client.get_registered_model(f"{customer}.{model}").tags)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def _must_exist(self, customer: str, model: str) -> None:
        if not self.versions(customer, model):
            raise ModelError(f"{customer}.{model} has never been trained", do=f"capflow run {customer}")

    def _write_history(self, customer: str, model: str, versions: list[int]) -> None:
        self.client.set_registered_model_tag(f"{customer}.{model}", "past_champions", json.dumps(versions[-100:]))


def alone(uri: str) -> AbstractContextManager[None]:
    """Nobody else on this machine opens the same store in the meantime.

    The first to open a new database makes its tables, and two who do it at once (two runs of a fresh home) break them.
    """
    from mlflow.utils.file_utils import ExclusiveFileLock

    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return ExclusiveFileLock(f"{tempfile.gettempdir()}/capflow-mlflow-{digest}.lock")


def trusted_types(estimator: Estimator) -> list[str]:
    """The types in an estimator that skops must be told to trust.

    Raises:
        CapflowError: the estimator holds a type of another library, which would not load safely.
    """
    import skops.io

    found = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    foreign = [name for name in found if not name.startswith(TRUSTED)]
    if foreign:
        raise CapflowError(
            f"{type(estimator).__name__} cannot be saved safely",
            expected=f"attributes of types from {', '.join(TRUSTED)}",
            came=", ".join(foreign),
        )
    return list(found)


def numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a report as MLflow metrics, flat: ``metric.value``, ``baseline.low`` …"""
    flat: dict[str, float] = {}
    for key, value in report.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": number for inner, number in numbers(value).items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[UNFIT.sub("_", key)] = float(value)
    return flat


def _json(report: Mapping[str, Any]) -> bytes:
    return json.dumps(report, indent=2, default=str).encode()
