"""The servers that CapFlow works with: Spark, Dagster's database, MLflow. They answer, and their versions fit."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from capflow_assets.doctor.case import Case, Checks, Diagnosis, broken, first_line, ok, skipped, warning
from capflow_assets.doctor.reach import fetched, refusal
from capflow_assets.doctor.versions import installed
from capflow_assets.home.databases import DAGSTER_TABLES, SEE, wrong_in_depth

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SPARK_CONNECT_PORT = 15002
SHARE_OF_TIME = 0.8
ASK = """
import sys
from capflow_assets.graph.engine import Engine

spark = Engine(engine=sys.stdin.read()).spark_session
spark.sql("select 1").collect()
print(spark.version)
"""
DAGSTER_SCHEMA = ("dagster", "_core/storage/alembic")
MLFLOW_SCHEMA = ("mlflow", "store/db_migrations")
REASONS = {
    "password authentication failed": "mend user and password in the URL",
    "no password supplied": "give user and password in the URL",
    "does not exist": "create the database or the role, or mend the URL",
    "could not translate host name": "mend the host in the URL",
    "Connection refused": "start the server, or mend host and port in the URL",
    "timeout expired": "let this machine through: security group, network policy, VPN",
    "SSL": "say how to encrypt in the URL: ?sslmode=require",
    "too many connections": "raise max_connections, or let fewer runs work at once",
}


def engine(case: Case) -> Checks:
    """Spark computes; its version fits pyspark."""
    name = case.home.engine
    if name == "cluster":
        yield skipped("CAPFLOW_ENGINE=cluster: the session is there on a cluster only")
        return
    if name.startswith("sc://"):
        yield _other_spark(case)
        return
    begun = time.monotonic()
    case.deployment.engine.spark_session.sql("select 1").collect()
    took = time.monotonic() - begun
    yield ok(f"Sail {installed('pysail')} with pyspark {installed('pyspark')} computed in {took:.1f} s")


def _other_spark(case: Case) -> Diagnosis:
    """Asked from a process of its own: pyspark tries an address for minutes, and can be stopped in no other way."""
    parts = urlsplit(case.home.engine)
    do = "start that Spark Connect server, or mend CAPFLOW_ENGINE"
    why = refusal(parts.hostname or "", parts.port or SPARK_CONNECT_PORT, case.connect_seconds)
    if why:
        return broken(why, do)
    seconds, begun = SHARE_OF_TIME * case.check_seconds, time.monotonic()
    try:
        probe = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", ASK], input=case.home.engine, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return broken(f"{parts.netloc.rpartition('@')[2]} computes nothing within {seconds:g} s", do)
    if probe.returncode:
        return broken(probe.stderr.strip().splitlines()[-1][:300] if probe.stderr.strip() else "no reason given", do)
    took = time.monotonic() - begun
    return _fits("Spark", probe.stdout.split()[-1], installed("pyspark") or "", "pyspark", f"computed in {took:.1f} s")


def dagster(case: Case) -> Checks:
    """Dagster's database answers, can be written, and its schema is this version's."""
    url = case.environment.get("CAPFLOW_POSTGRES_URL")
    if not url:
        yield from _sqlite(case.home.dagster, DAGSTER_TABLES, f"SQLite in {case.home.dagster}: fine for one machine")
        return
    with _connected(url, case) as connection:
        if isinstance(connection, Diagnosis):
            yield connection
            return
        yield from _server(connection)
        yield from _schema(connection, DAGSTER_SCHEMA, "Dagster", "dagster instance migrate")


def mlflow(case: Case) -> Checks:
    """MLflow answers; server and client, or schema and code, fit."""
    uri = case.home.mlflow_uri
    if uri.startswith(("http://", "https://")):
        yield from _mlflow_server(case, uri.rstrip("/"))
        return
    if uri.startswith("databricks"):
        yield skipped("MLflow is the workspace's own; databricks.workspace tries it")
        return
    if "sql" not in uri.split("://")[0]:
        yield warning(f"models are kept in files ({uri})", "set MLFLOW_TRACKING_URI to a server or a database")
        return
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        yield ok(f"{file} is made by the first training")
        return
    unsound = [diagnosis for diagnosis in _sqlite(file.parent, (file.name,), "") if diagnosis.state != "ok"]
    if uri.startswith("sqlite:///") and unsound:
        yield from unsound
        return
    with _connected(uri, case) as connection:
        if isinstance(connection, Diagnosis):
            yield connection
            return
        if not uri.startswith("sqlite"):
            yield from _server(connection)
        yield from _schema(connection, MLFLOW_SCHEMA, "MLflow", "mlflow db upgrade URL")


def _sqlite(folder: Path, names: Iterable[str], sound: str) -> Checks:
    """What SQLite's own examination finds in each file."""
    wrong = {folder / name: wrong_in_depth(folder / name) for name in names}
    for file, words in wrong.items():
        if words:
            yield broken(f"{file}: {words}", SEE)
    if not any(wrong.values()):
        yield ok(sound)


def _mlflow_server(case: Case, uri: str) -> Checks:
    env = case.environment
    token = env.get("MLFLOW_TRACKING_TOKEN")
    options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"}} if token else {}
    if env.get("MLFLOW_TRACKING_USERNAME"):
        options = {"auth": (env["MLFLOW_TRACKING_USERNAME"], env.get("MLFLOW_TRACKING_PASSWORD", ""))}
    answer = fetched(f"{uri}/version", case, **options)
    if answer.status_code in (401, 403):
        do = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        yield broken(f"{uri} refuses the caller ({answer.status_code})", do)
        return
    version = answer.text.strip()
    if answer.status_code != 200 or not version[:1].isdigit():
        yield broken(f"{uri} is no MLflow server: /version gives {answer.status_code}", "mend MLFLOW_TRACKING_URI")
        return
    yield _fits("MLflow server", version, installed("mlflow") or "", "client", uri)
    response = fetched(f"{uri}/api/2.0/mlflow/registered-models/search?max_results=1", case, **options)
    if response.status_code != 200:
        do = "read the server's log; the caller needs to read and write models and experiments"
        yield broken(f"{uri} does not list its models ({response.status_code})", do)


def _fits(what: str, there: str, here: str, client: str, more: str) -> Diagnosis:
    """Whether the first two parts of two versions are equal: a difference in the first breaks, in the second may."""
    words = f"{what} {there}, {client} {here}; {more}"
    theirs, ours = there.split(".")[:2], here.split(".")[:2]
    if theirs == ours:
        return ok(words)
    state = broken if theirs[0] != ours[0] else warning
    return state(words, f"bring both sides to {'.'.join(ours)}")


@contextmanager
def _connected(url: str, case: Case) -> Iterator[Connection | Diagnosis]:
    """A connection to a database, or what keeps it from being made."""
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    seconds = max(2, round(case.connect_seconds))
    options = {"connect_timeout": seconds} if url.startswith(("postgresql", "mysql")) else {}
    try:
        connection = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=options).connect()
    except sqlalchemy.exc.OperationalError as error:
        words = first_line(error.orig or error)
        do = next((do for word, do in REASONS.items() if word in str(error)), "mend the URL, or the server")
        yield broken(words, do)
    except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        yield broken(first_line(error), "mend the URL: scheme://user:password@host:port/database")
    else:
        with connection:
            yield connection


def _server(connection: Connection) -> Checks:
    """The server's version, and whether this user may write and make tables."""
    from sqlalchemy import text

    if connection.dialect.name != "postgresql":
        yield ok(f"{connection.dialect.name} {'.'.join(map(str, connection.dialect.server_version_info or ()))}")
        return
    version, user, read_only, creates = connection.execute(
        text(
            "select current_setting('server_version'), current_user, current_setting('transaction_read_only') = 'on',"
            " coalesce(has_schema_privilege(current_schema(), 'create'), false)"
        )
    ).one()
    place = f"PostgreSQL {version} as {user}"
    if read_only:
        yield broken(f"{place}: read only", "give the address of the primary, not of a replica")
    elif not creates:
        do = f"as the owner: grant create on schema public to {user}"
        yield broken(f"{place}: may not make tables", do)
    else:
        yield ok(place)


def _schema(connection: Connection, scripts: tuple[str, str], whose: str, migrate: str) -> Checks:
    """The revision of a database's schema against the newest that the installed code knows."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    package, folder = scripts
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    directory = ScriptDirectory(str(Path(places[0], folder)))
    known, head = {revision.revision for revision in directory.walk_revisions()}, directory.get_current_head()
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        yield ok(f"{whose}'s tables are made at the first use")
    elif revision == head:
        yield ok(f"schema of {whose} at its newest, {head}")
    elif revision in known:
        yield broken(f"schema of {whose} at {revision}, newest is {head}", f"back the database up, then: {migrate}")
    else:
        do = f"a database of its own for {whose}, or {whose} as new as the one that made this schema"
        yield broken(f"the schema {revision} is none of {whose} {installed(package)}", do)


CHECKS = (engine, dagster, mlflow)
