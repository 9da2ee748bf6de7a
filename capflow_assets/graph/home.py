"""Where a deployment keeps its state: customers, lake, MLflow, Dagster. The one place that reads the environment.

| variable | meaning | default |
|---|---|---|
| ``CAPFLOW_HOME`` | the folder of everything below | ``.capflow`` |
| ``CAPFLOW_LAKE`` | tables, model artifacts and plots; a folder or ``s3://bucket/prefix`` | ``{home}/lake`` |
| ``CAPFLOW_ENGINE`` | ``sail``, ``cluster`` (the cluster's own session) or a Spark Connect URL | ``sail`` |
| ``CAPFLOW_POSTGRES_URL`` | Dagster's storage, ``postgresql+psycopg2://…`` | SQLite in ``{home}/dagster`` |
| ``MLFLOW_TRACKING_URI`` | MLflow's server or database | SQLite in ``{home}/mlflow.db`` |
| ``CAPFLOW_DATABRICKS`` | a TOML of what runs on Databricks, see ``databricks_settings`` | nothing does |
| ``CAPFLOW_COMPUTE_LOGS`` | what steps print, ``s3://bucket/prefix`` | ``{home}/dagster/storage`` |
| ``CAPFLOW_SECRETS`` | names of AWS secrets that become variables, by commas, see ``secrets`` | none |
| ``CAPFLOW_SETTINGS`` | a TOML of what customers may read, see ``fences`` | ``{home}/capflow.toml``, if there |

A bucket is reached as the ``AWS_*`` variables say
(keys or a role, ``AWS_REGION``, ``AWS_ENDPOINT_URL``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capflow_assets.errors import CapflowError

POSTGRES_STORAGE = """
storage:
  postgres:
    postgres_url:
      env: CAPFLOW_POSTGRES_URL
"""
COMPUTE_LOGS = """
compute_logs:
  module: dagster_aws.s3.compute_log_manager
  class: S3ComputeLogManager
  config:
    bucket: "{bucket}"
    prefix: "{prefix}"
    # Where a step's output is gathered before it is sent.
    local_dir:
      env: DAGSTER_HOME
    # A step of an hour shows what it has printed so far.
    upload_interval: 60
"""
PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([\w!.*'()/=-]+?)/*")


@dataclass(frozen=True, slots=True)
class Home:
    """The resolved places of one deployment."""

    root: Path
    lake: str
    mlflow_uri: str
    engine: str
    secrets: tuple[str, ...] = ()
    postgres_url: str = ""
    compute_logs: str = ""
    settings_file: str = ""

    @classmethod
    def of(cls, root: str | os.PathLike[str] | None = None, environment: Mapping[str, str] | None = None) -> Home:
        """The home at ``root``, or where the environment says, or ``.capflow`` in the current folder."""
        env = os.environ if environment is None else environment
        folder = Path(root or env.get("CAPFLOW_HOME") or ".capflow").expanduser().resolve()
        lake = env.get("CAPFLOW_LAKE") or str(folder / "lake")
        return cls(
            root=folder,
            lake=lake.rstrip("/"),
            mlflow_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}",
            engine=env.get("CAPFLOW_ENGINE") or "sail",
            secrets=tuple(name.strip() for name in env.get("CAPFLOW_SECRETS", "").split(",") if name.strip()),
            postgres_url=env.get("CAPFLOW_POSTGRES_URL", ""),
            compute_logs=env.get("CAPFLOW_COMPUTE_LOGS", ""),
            settings_file=env.get("CAPFLOW_SETTINGS", ""),
        )

    @property
    def customers(self) -> Path:
        """The folder of the customers' TOML files."""
        return self.root / "customers"

    @property
    def settings(self) -> Path:
        """The file of what the deployment says about customers' sources; it need not exist."""
        return Path(self.settings_file or self.root / "capflow.toml")

    @property
    def dagster(self) -> Path:
        """Dagster's own home."""
        return self.root / "dagster"

    def prepare(self) -> Home:
        """Make the folders, write Dagster's configuration and point this process and its children at this home."""
        for folder in (self.root, self.customers, self.dagster):
            folder.mkdir(parents=True, exist_ok=True)
        text = dagster_yaml(os.environ.get("CAPFLOW_POSTGRES_URL"), os.environ.get("CAPFLOW_COMPUTE_LOGS"))
        (self.dagster / "dagster.yaml").write_text(text)
        os.environ["CAPFLOW_HOME"] = str(self.root)
        os.environ["DAGSTER_HOME"] = str(self.dagster)
        return self


def shipped(name: str) -> Path:
    """A configuration file that stands at the top of the repository, or inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name


def dagster_yaml(postgres_url: str | None, compute_logs: str | None = None) -> str:
    """The instance configuration as text: SQLite unless a PostgreSQL URL is given, steps' output in a bucket if named.

    Raises:
        CapflowError: the URL names no driver, or another than psycopg2, which dagster-postgres installs; or the place
            of the output is no ``s3://bucket/prefix``.
    """
    text = shipped("dagster.yaml").read_text()
    return text + (_storage(postgres_url) if postgres_url else "") + (_logs(compute_logs) if compute_logs else "")


def _storage(postgres_url: str) -> str:
    if not postgres_url.startswith("postgresql+psycopg2://"):
        raise CapflowError(
            "CAPFLOW_POSTGRES_URL cannot be used",
            expected="a URL that starts with postgresql+psycopg2://",
            came=postgres_url.split("://")[0] + "://…",
            do="name the driver in the URL; plain postgresql:// means another driver since SQLAlchemy 2.1",
        )
    return POSTGRES_STORAGE


def _logs(place: str) -> str:
    found = PLACE.fullmatch(place)
    if found is None:
        raise CapflowError("CAPFLOW_COMPUTE_LOGS cannot be used", expected="s3://bucket/prefix", came=repr(place))
    return COMPUTE_LOGS.format(bucket=found[1], prefix=found[2])
