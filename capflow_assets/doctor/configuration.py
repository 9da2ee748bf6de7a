"""What people write: variables, the home, Dagster's file, addresses, the customers' files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, existing, first_line, ok, skipped, warning
from capflow_assets.errors import CapflowError, nearest

KNOWN = (
    "CAPFLOW_HOME",
    "CAPFLOW_LAKE",
    "CAPFLOW_ENGINE",
    "CAPFLOW_POSTGRES_URL",
    "CAPFLOW_COMPUTE_LOGS",
    "CAPFLOW_SECRETS",
    "CAPFLOW_DATABRICKS",
    "CAPFLOW_PERSONAL_KEY",
    "CAPFLOW_BACKFILL_SECONDS",
    "CAPFLOW_SPAWN_RUNS",
    "CAPFLOW_LOCK_WAIT_MINUTES",
    "CAPFLOW_RECORDS_DAYS",
    "CAPFLOW_SETTINGS",
    "CAPFLOW_ALLOWED_HOSTS",
    "CAPFLOW_SERVE_MB",
    "CAPFLOW_SERVE_WORKERS",
    "CAPFLOW_DAGSTER_URL",
    "CAPFLOW_HELD_CUSTOMERS",
    "CAPFLOW_HELD_BY_LAUNCHER",
)
READ = re.compile(r"CAPFLOW_|AWS_|DATABRICKS_|MLFLOW_TRACKING_|DAGSTER_HOME$")
ENGINE = re.compile(r"sail|cluster|sc://[^/:\s]+(:\d+)?(/.*)?")
DRIVER = "postgresql+psycopg2"
LONGEST_PROBLEM = 600


def variables(case: Case) -> Checks:
    """Known names, possible values, no stray spaces."""
    problems = [*_names(case), *_spaces(case), *_values(case)]
    yield from problems
    if not problems:
        given = [name for name in KNOWN if case.environment.get(name)]
        yield ok(", ".join(given) + " set" if given else "none set, so everything has its default")


def _names(case: Case) -> Iterator[Diagnosis]:
    for name in sorted(case.environment):
        if name.startswith("CAPFLOW_") and name not in KNOWN:
            near = get_close_matches(name, KNOWN, n=1)
            yield warning(f"{name} is read by nobody", f"did you mean {near[0]}?" if near else "unset it")


def _spaces(case: Case) -> Iterator[Diagnosis]:
    for name, value in sorted(case.environment.items()):
        if READ.match(name) and value != value.strip():
            yield broken(f"{name} begins or ends with a space or a line break", "set it again without")


def _values(case: Case) -> Iterator[Diagnosis]:
    if not ENGINE.fullmatch(case.home.engine):
        yield broken(f"CAPFLOW_ENGINE is {case.home.engine!r}", "sail, cluster or sc://host:port")
    if "://" in case.home.lake and not re.fullmatch(r"s3://[^/]+(/.+)?", case.home.lake):
        yield broken(f"CAPFLOW_LAKE is {case.home.lake}", "a folder or s3://bucket/prefix")
    if case.home.mlflow_uri.startswith(("postgresql://", "postgres://")):
        do = f"name the driver, as {DRIVER}://…: plain postgresql:// means another one since SQLAlchemy 2.1"
        yield broken("MLFLOW_TRACKING_URI names no driver", do)
    other = case.environment.get("DAGSTER_HOME")
    if other and Path(other).resolve() != case.home.dagster:
        do = f"unset DAGSTER_HOME, or set it to {case.home.dagster} for everything that starts Dagster by itself"
        yield warning(f"DAGSTER_HOME is {other}, but CapFlow's Dagster is elsewhere", do)


def home(case: Case) -> Checks:
    """The home is there and can be written, or can be made."""
    root = case.home.root
    there = existing(root)
    do = f"make {root} a folder that this user may write, or choose another: --home, CAPFLOW_HOME"
    if not there.is_dir():
        yield broken(f"{there} is a file", do)
        return
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix="_doctor-"):
            pass
    except OSError as error:
        yield broken(f"{there}: {error.strerror or first_line(error)}", do)
        return
    yield ok(f"{root} can be written" if there == root else f"{root} is made by the first command")


def secrets(case: Case) -> Checks:
    """What ``CAPFLOW_SECRETS`` names can be read; the later checks have those variables."""
    from capflow_assets.home.secrets import load_secrets

    if not case.home.secrets:
        yield skipped("CAPFLOW_SECRETS is not set")
        return
    yield ok(f"{', '.join(load_secrets(case.home.secrets)) or 'no variable'} taken from {len(case.home.secrets)} names")


def dagster(case: Case) -> Checks:
    """Dagster accepts the home's ``dagster.yaml``, and what goes into it from variables."""
    from capflow_assets.home.places import dagster_yaml

    dagster_yaml(None, case.environment.get("CAPFLOW_COMPUTE_LOGS"))
    file = case.home.dagster / "dagster.yaml"
    if not file.exists():
        yield skipped(f"{file} is written by the first command")
        return
    from dagster._core.errors import DagsterInvalidConfigError
    from dagster._core.instance.ref import InstanceRef

    try:
        InstanceRef.from_dir(str(case.home.dagster))
    except DagsterInvalidConfigError as error:
        words = "; ".join(problem.message.split(" Expected: ")[0] for problem in error.errors) or first_line(error)
        yield broken(f"{file}: {words}", "undo the last edit; any `capflow` command but this one writes the file anew")
    except Exception as error:  # a YAML parser has many
        yield broken(f"{file} is not YAML: {first_line(error)}", "any `capflow` command but this one writes it anew")
    else:
        yield ok(f"{file} is valid")


def postgres_url(case: Case) -> Checks:
    """``CAPFLOW_POSTGRES_URL`` has a driver, a host and a database."""
    url = case.environment.get("CAPFLOW_POSTGRES_URL")
    if not url:
        yield skipped("CAPFLOW_POSTGRES_URL is not set: Dagster keeps its state in SQLite")
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    do = f"{DRIVER}://user:password@host:5432/database, with special characters of the password as %XX"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        yield broken("CAPFLOW_POSTGRES_URL is no URL", do)
        return
    lacking = [
        word
        for word, there in (
            (f"the driver {DRIVER}", parts.drivername == DRIVER),
            ("a host", parts.host or parts.query.get("host")),
            ("a database", parts.database),
        )
        if not there
    ]
    yield broken(f"CAPFLOW_POSTGRES_URL lacks {' and '.join(lacking)}", do) if lacking else ok("it is well formed")


def s3(case: Case) -> Checks:
    """``AWS_*`` say the same to everything that reads a bucket: delta-rs, Sail, pyarrow and boto3."""
    if not case.in_bucket:
        yield skipped("the lake is a folder")
        return
    env = case.environment
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL", "")
    problems = []
    if endpoint.startswith("http://") and env.get("AWS_ALLOW_HTTP", "").lower() != "true":
        do = "set AWS_ALLOW_HTTP=true for a test server on this machine, https:// for anything else"
        problems.append(broken("AWS_ENDPOINT_URL is http://, which Delta and Sail refuse", do))
    if not (env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")):
        problems.append(warning("no region is set; Delta then takes us-east-1", "set AWS_REGION to the bucket's"))
    if (env.get("AWS_REGION") or "") != (env.get("AWS_DEFAULT_REGION") or env.get("AWS_REGION") or ""):
        problems.append(broken("AWS_REGION and AWS_DEFAULT_REGION differ", "set both to the bucket's region"))
    if endpoint and (env.get("MLFLOW_S3_ENDPOINT_URL") or endpoint) != endpoint:
        do = "set both to the same, or models and tables go to different stores"
        problems.append(broken("MLFLOW_S3_ENDPOINT_URL is another endpoint than the lake's", do))
    yield from problems or [ok(f"region {env.get('AWS_REGION') or env.get('AWS_DEFAULT_REGION')}, {endpoint or 'AWS'}")]


def customers(case: Case) -> Checks:
    """Every customer's TOML is right."""
    from capflow_assets.customers.checks_settings import verticals
    from capflow_assets.customers.onboarding_problems import vertical_note
    from capflow_assets.graph.onboarding import read_dropped

    good = 0
    for name in case.customers:
        file = case.home.customers / f"{name}.toml"
        try:
            read_dropped(case.deployment, file)
            vertical = case.deployment.customer(name).vertical
            # One that is new may be meant; one that is nearly another is mistyped.
            if nearest(vertical, verticals()) and (note := vertical_note(vertical, verticals())):
                yield warning(f"{name}: {note}", f"change vertical in {file}, or leave it")
        except CapflowError as error:
            words = str(error).removeprefix(f"{file} has ")[:LONGEST_PROBLEM]
            yield broken(f"{name}: {words}", f"mend {file}; the next run reads it anew")
        else:
            good += 1
    if not case.customers:
        yield skipped("there are none yet: capflow onboard FILE.toml")
    elif good:
        yield ok(f"{good} of {len(case.customers)} files are right")


CHECKS = (variables, secrets, home, dagster, postgres_url, s3, customers)
