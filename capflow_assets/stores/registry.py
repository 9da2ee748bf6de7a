"""The model store: MLflow, with one registered model ``{customer}.{model}`` and the aliases champion and challenger.

Look-ups go by name and alias, never by listing, since listing thousands of registered models is slow. MLflow keeps
what was measured and decided, and the digest of every file of a version; the files lie below the customer's own prefix
of the lake (``model_files``). What is read from there is what was registered, or it is not read at all; a version that
an earlier release registered has no digest until `capflow doctor --mend` keeps one, and passes the same loader.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from capflow_assets.contract import Estimator
from capflow_assets.errors import BrokenModelError
from capflow_assets.home.places import SQLITE, Home
from capflow_assets.processes.first_use import alone
from capflow_assets.processes.locks import LockStore
from capflow_assets.processes.process_locks import FileLocks, lock_store
from capflow_assets.stores.champions import Champions
from capflow_assets.stores.model_files import LARGEST_BYTES, MODEL, REPORT, SCHEME, ModelFiles, digest, run_folder
from capflow_assets.stores.saved_estimators import loads

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Tags of a version that learned from users who are forgotten now.
FORGOTTEN = "capflow.forgotten"
# The tag of a version that holds the digests of its files.
DIGESTS = "capflow.sha256"
# What is read of a version that has no digests.
READ = (MODEL, f"{REPORT}/report.json", f"{REPORT}/reference.json")
# MLflow's code of an error about what is not there.
MISSING = "RESOURCE_DOES_NOT_EXIST"
# MLflow's rule for the names of metrics.
UNFIT = re.compile(r"[^\w\-. :/]", re.ASCII)
# Where earlier releases let MLflow keep the estimator of a version.
LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]+)")


@dataclass(frozen=True)
class Registry(Champions):
    """Register, load, promote, roll back and freeze the models of customers."""

    lake: str
    home: Home | None = field(default=None, compare=False)
    # What was read of MLflow at once, in the place of its client (``registry_snapshot``).
    reader: Any = field(default=None, compare=False)

    @property
    def locks(self) -> LockStore:
        """The locks of the home; without one, in the folder of MLflow's file, or this machine's temporary one."""
        if self.home is not None:
            return lock_store(self.home)
        is_file = self.uri.startswith(SQLITE)
        folder = Path(self.uri.removeprefix(SQLITE)).parent if is_file else Path(tempfile.gettempdir())
        return FileLocks(folder / "locks")

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client, made on first use; of a snapshot, what it holds.

        Raises:
            StoreError: its SQLite file is damaged.
        """
        if self.reader is not None:
            return cast("MlflowClient", self.reader)
        import logging
        import os

        import mlflow

        from capflow_assets.home.databases import require_sound_mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        # With a server it would write two lines with addresses to standard output for every version.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        with alone(self.uri):
            require_sound_mlflow(self.uri)
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @property
    def files(self) -> ModelFiles:
        """The files of versions, in this home's lake."""
        return ModelFiles(self.lake)

    def register(
        self, customer: str, model: str, estimator: bytes, report: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> int:
        """Keep one trained model (as ``saved_estimators`` writes it) with its report, plots and reference.

        Gives the version's number. The files are written first: a version that MLflow knows is whole.
        """
        client = self.client
        name = f"{customer}.{model}"
        run = client.create_run(self.experiment_of(customer, model), run_name=f"{name} {report['as_of']}").info.run_id
        try:
            _log(client, run, report)
            content = {**files, "report.json": json.dumps(report, indent=2, default=str).encode()}
            stored = {MODEL: estimator} | {f"{REPORT}/{file}": data for file, data in content.items()}
            folder = run_folder(customer, model, run)
            digests = self.files.write(folder, stored)
        except BaseException:
            with suppress(Exception):  # what went wrong first is what to tell
                client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)
        self._ensure(name)
        tags = {DIGESTS: json.dumps(digests)}
        source = f"{SCHEME}:/{folder}/model"
        return int(client.create_model_version(name, source, run_id=run, tags=tags).version)

    def load(self, customer: str, model: str, version: int, types: frozenset[str]) -> Estimator:
        """The fitted estimator of one version; ``types`` is all that it may hold (``saved_estimators.types_of``).

        Raises:
            BrokenModelError: it is missing, damaged, not the one that was registered, or holds another type.
        """
        return self.loaded(customer, model, version, self.read(customer, model, version, MODEL), types)

    def loaded(self, customer: str, model: str, version: int, content: bytes, types: frozenset[str]) -> Estimator:
        """As ``load``, from the file's bytes."""
        with _of(f"{customer}.{model}", version):
            return loads(content, types)

    def report(self, customer: str, model: str, version: int) -> dict[str, Any]:
        """What was measured and decided when this version was trained.

        Raises:
            BrokenModelError: it is missing, damaged, or not the one that was registered.
        """
        content = self.read(customer, model, version, f"{REPORT}/report.json")
        with _of(f"{customer}.{model}", version):
            try:
                report = dict(json.loads(content))
                _as_of(report)
            except (ValueError, TypeError, KeyError, RecursionError) as error:  # without a digest it may be anything
                received = f"{type(error).__name__}: {error}"
                raise BrokenModelError("Its report is damaged", came=received) from error
            return report

    def trained_as_of(self, customer: str, model: str, version: int) -> datetime:
        """The moment up to which a version has seen data.

        Raises:
            BrokenModelError: its report is missing, damaged, or not the one that was registered.
        """
        return _as_of(self.report(customer, model, version))

    def file(self, customer: str, model: str, version: int, name: str) -> bytes:
        """One file that was kept beside a version.

        Raises:
            BrokenModelError: it is missing, damaged, or not the one that was registered.
        """
        return self.read(customer, model, version, f"{REPORT}/{name}")

    def artifacts(self, customer: str, model: str, version: int) -> str:
        """Where the report, the plots and the model of a version lie."""
        run = str(self._version(customer, model, version).run_id)
        return f"{self.lake}/{run_folder(customer, model, run)}"

    def plots(self, customer: str, model: str, version: int) -> list[str]:
        """Where the pictures of a version lie."""
        paths = self.paths(customer, model, version)
        return [f"{self.lake}/{path}" for name, (path, _) in sorted(paths.items()) if name.endswith(".png")]

    def models(self, customer: str) -> list[str]:
        """The names of a customer's models, whether the code still has them or not."""
        # ``_`` stands for any character in the filter, so the names are looked at again.
        names: list[str] = []
        token: str | None = None
        while token is None or token:
            page = self.client.search_registered_models(f"name LIKE '{customer}.%'", page_token=token)
            names += [model.name for model in page]
            token = page.token or ""
        return sorted(name.removeprefix(f"{customer}.") for name in names if name.startswith(f"{customer}."))

    def mark_forgotten(self, customer: str, model: str, version: int, digest: str, at: str) -> None:
        """Mark a version as trained on data of a user who is forgotten now; each user counts once."""
        name = f"{customer}.{model}"
        self.client.set_model_version_tag(name, str(version), f"{FORGOTTEN}.{digest[:16]}", at)
        count = self.forgotten(customer, model, version)
        self.client.set_model_version_tag(name, str(version), FORGOTTEN, f"{count}, the last at {at}")

    def forgotten(self, customer: str, model: str, version: int) -> int:
        """How many users on whose data a version was trained are forgotten now."""
        tags = self._version(customer, model, version).tags
        return sum(name.startswith(f"{FORGOTTEN}.") for name in tags)

    def paths(self, customer: str, model: str, version: int) -> dict[str, tuple[str, str | None]]:
        """The files that a version is read from: where each lies below the lake, and its digest if one is kept."""
        registered = self._version(customer, model, version)
        folder = run_folder(customer, model, str(registered.run_id))
        digests: dict[str, str | None] = json.loads(registered.tags.get(DIGESTS, "{}")) or dict.fromkeys(READ)
        paths = {name: f"{folder}/{name}" for name in digests}
        if logged := LOGGED_MODEL.fullmatch(str(registered.source)):
            paths[MODEL] = f"{customer}/mlflow/{model}/models/{logged[1]}/artifacts/model.skops"
        return {name: (path, digests.get(name)) for name, path in paths.items()}

    def has_digests(self, customer: str, model: str, version: int) -> bool:
        """Whether MLflow keeps the digests of a version's files; versions of earlier releases have none."""
        return DIGESTS in self._version(customer, model, version).tags

    def keep_digests(self, customer: str, model: str, version: int) -> None:
        """Keep the digests of a version's files as they are now.

        Raises:
            BrokenModelError: one is missing or cannot be read.
        """
        paths = self.paths(customer, model, version)
        current = {name: digest(self.files.read(path)) for name, (path, _) in paths.items()}
        self.client.set_model_version_tag(f"{customer}.{model}", str(version), DIGESTS, json.dumps(current))

    def drop_digests(self, customer: str, model: str, version: int) -> None:
        """Keep no digests of a version any more."""
        self.client.delete_model_version_tag(f"{customer}.{model}", str(version), DIGESTS)

    def read(self, customer: str, model: str, version: int, name: str, most_bytes: int = LARGEST_BYTES) -> bytes:
        """One file of a version as it was registered; ``name`` as in ``paths``.

        Raises:
            BrokenModelError: it is missing, damaged, larger than ``most_bytes``, or not the one that was registered.
        """
        with _of(f"{customer}.{model}", version):
            paths = self.paths(customer, model, version)
            if name not in paths:
                raise BrokenModelError("It was registered without this file", expected=f"one of {', '.join(paths)}")
            return self.files.read(*paths[name], most_bytes=most_bytes)

    def experiment_of(self, customer: str, model: str) -> str:
        """The id of the experiment in which a customer's model is trained; made where it is not there yet."""
        name = f"{customer}.{model}"
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self.client.create_experiment(name, f"{SCHEME}:/{customer}/mlflow/{model}"))

    def _ensure(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _as_of(report: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(report["as_of"])


def numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a report as MLflow metrics, flat: ``metric.value``, ``baseline.low`` …"""
    flat: dict[str, float] = {}
    for name, value in report.items():
        key = UNFIT.sub("_", name)
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": number for inner, number in numbers(value).items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[key] = float(value)
    return flat


@contextmanager
def _of(name: str, version: int) -> Iterator[None]:
    """What is wrong with a file says whose it is; a version that MLflow does not know is broken too."""
    customer, _, model = name.partition(".")
    do = f"train again (capflow run {customer} --select models/{model})"
    try:
        yield
    except BrokenModelError as error:
        words = str(error) if "\n  To do: " in str(error) else f"{error}\n  To do: {do} or put the file back"
        error.args = (f"Version {version} of {name} cannot be used: {words}",)
        raise
    except Exception as error:  # MLflow's own, known by its code: to import it takes a second and 80 MB
        if getattr(error, "error_code", "") != MISSING:
            raise
        raise BrokenModelError(f"Version {version} of {name} cannot be used: it was deleted in MLflow", do=do) from None


def _log(client: MlflowClient, run: str, report: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.utils.time import get_current_time_millis

    at = get_current_time_millis()
    params = [Param(key, str(value)) for key, value in report["params"].items() if value is not None]
    client.log_batch(run, metrics=[Metric(key, value, at, 0) for key, value in numbers(report).items()], params=params)
