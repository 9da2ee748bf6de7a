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
| ``CAPFLOW_ALLOWED_HOSTS`` | names that Dagster's page answers to, by commas | those of the address it listens at |
| ``CAPFLOW_SECRETS`` | names of AWS secrets that become variables, by commas, see ``secrets`` | none |
| ``CAPFLOW_LOCK_WAIT_MINUTES`` | how long a run of the daemon waits for a customer that is in use | 15 |
| ``CAPFLOW_BACKFILL_SECONDS`` | how often the page's daemon looks at backfills, in seconds | 30 |
| ``CAPFLOW_RECORDS_DAYS`` | days until Dagster's superseded records go, see ``record_retention``; 0: never | 90 |
| ``CAPFLOW_SPAWN_RUNS`` | ``1``: each run of the daemon starts a Python of its own, see ``forked_runs`` | forked |
| ``CAPFLOW_SETTINGS`` | a TOML of what customers may read, see ``fences`` | ``{home}/capflow.toml``, if there |

A bucket is reached as the ``AWS_*`` variables say
(keys or a role, ``AWS_REGION``, ``AWS_ENDPOINT_URL``).
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from capflow_assets.errors import CapflowError
from capflow_assets.home import native_libraries
from capflow_assets.paths.folders import LONGEST_HOME_BYTES, LONGEST_LAKE_BYTES, require_fit

SQLITE = "sqlite:///"
SQLITE_STORAGE = """
storage:
  custom:
    module: capflow_assets.graph.sqlite_storage
    class: SqliteStorage
    config:
      base_dir:
        env: DAGSTER_HOME
"""
POSTGRES_STORAGE = """
storage:
  custom:
    module: capflow_assets.graph.postgres_storage
    class: PostgresStorage
    config:
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
# What Dagster has to write of one run at one moment goes to its storage at once, and not each event by itself.
EVENTS_TOGETHER = {"DAGSTER_EVENT_BATCH_SIZE": "500"}
PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([\w!.*'()/=-]+?)/*")


@dataclass(frozen=True, slots=True)
class Home:
    """The resolved places of one deployment."""

    root: Path
    lake: str
    mlflow_uri: str
    engine: str = field(repr=False)  # the address may have a token in it
    secrets: tuple[str, ...] = ()
    postgres_url: str = ""
    compute_logs: str = ""
    settings_file: str = ""

    @classmethod
    def of(cls, root: str | os.PathLike[str] | None = None, environment: Mapping[str, str] | None = None) -> Home:
        """The home at ``root``, or where the environment says, or ``.capflow`` in the current folder.

        Raises:
            CapflowError: the home or a lake of its own lies at a path that cannot be used, see ``paths.folders``.
        """
        env = os.environ if environment is None else environment
        folder = _resolved(Path(root or env.get("CAPFLOW_HOME") or ".capflow"))
        require_fit(str(folder), "The home", LONGEST_HOME_BYTES)
        lake = env.get("CAPFLOW_LAKE") or str(folder / "lake")
        if "://" not in lake:
            lake = str(_expanded(lake, "The lake (CAPFLOW_LAKE)"))
            require_fit(str(Path(lake).absolute()), "The lake (CAPFLOW_LAKE)", LONGEST_LAKE_BYTES)
        return cls(
            root=folder,
            lake=lake.rstrip("/"),
            mlflow_uri=env.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{folder / 'mlflow.db'}",
            engine=env.get("CAPFLOW_ENGINE") or "sail",
            secrets=tuple(name.strip() for name in env.get("CAPFLOW_SECRETS", "").split(",") if name.strip()),
            postgres_url=env.get("CAPFLOW_POSTGRES_URL", ""),
            compute_logs=env.get("CAPFLOW_COMPUTE_LOGS", ""),
            settings_file=str(_expanded(named, "CAPFLOW_SETTINGS")) if (named := env.get("CAPFLOW_SETTINGS")) else "",
        )

    @property
    def customers(self) -> Path:
        """The folder of the customers' TOML files."""
        return self.root / "customers"

    def has(self, customer: str) -> bool:
        """Whether a customer is onboarded here."""
        return os.path.isfile(f"{self.root}/customers/{customer}.toml")  # noqa: PTH113  (asked for every answer online)

    @property
    def settings(self) -> Path:
        """The file of what the deployment says about customers' sources; it need not exist."""
        return Path(self.settings_file or self.root / "capflow.toml")

    @property
    def dagster(self) -> Path:
        """Dagster's own home."""
        return self.root / "dagster"

    @property
    def is_writable(self) -> bool:
        """Whether this user may make and change what a home holds; asked of the nearest folder that is there."""
        nearest = next(place for place in (self.root, *self.root.parents) if place.exists())
        state = [self.dagster, *self.dagster.glob("*/"), *self.dagster.rglob("history/**/*.db"), self.customers]
        own = [nearest, self.root / "mlflow.db", self.dagster / "schedules/schedules.db", *state]
        return all(os.access(place, os.W_OK) for place in own if place.exists())

    def prepare(self) -> Home:
        """Make the folders, write Dagster's configuration and point this process and its children at this home."""
        # Customers' rows lie below it: no other user of this machine is to read them.
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.customers, self.dagster):
            folder.mkdir(exist_ok=True)
        text = dagster_yaml(os.environ.get("CAPFLOW_POSTGRES_URL"), os.environ.get("CAPFLOW_COMPUTE_LOGS"))
        write_if_changed(self.dagster / "dagster.yaml", text)
        os.environ["CAPFLOW_HOME"] = str(self.root)
        os.environ["DAGSTER_HOME"] = str(self.dagster)
        for name, value in EVENTS_TOGETHER.items():
            os.environ.setdefault(name, value)
        native_libraries.settle()
        return self


def write_if_changed(file: Path, text: str) -> None:
    """Give a file this text; others, who may be reading it, find the old text or the new one."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def _expanded(path: str, name: str) -> Path:
    """A path without ``~``, which a shell leaves where it is quoted, or behind a prefix."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # ``~`` of nobody
        raise CapflowError(
            f"{name} cannot be found", came=str(error), where=path, do="write it out, without ~"
        ) from error


def _resolved(folder: Path) -> Path:
    try:
        return folder.expanduser().resolve()
    except RuntimeError as error:  # ``~`` of nobody, or a ring of links
        do = "write the home's path out, without ~: --home, CAPFLOW_HOME"
        raise CapflowError("The home cannot be found", came=str(error), where=str(folder), do=do) from error


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
    return (
        text
        + (_storage(postgres_url) if postgres_url else SQLITE_STORAGE)
        + (_logs(compute_logs) if compute_logs else "")
    )


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
    match = PLACE.fullmatch(place)
    if match is None:
        raise CapflowError("CAPFLOW_COMPUTE_LOGS cannot be used", expected="s3://bucket/prefix", came=repr(place))
    return COMPUTE_LOGS.format(bucket=match[1], prefix=match[2])
