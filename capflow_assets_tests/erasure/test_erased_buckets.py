"""In a bucket that keeps older versions of its objects, nothing is left of a user or a customer either."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.erasure import forgetting
from capflow_assets.graph.engine import deployment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.graph.records import DagsterRecords
from capflow_assets.home.places import Home
from capflow_assets.stores.erased_history import keep_newest_version, remove_old_objects
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import TestHome, own_environment
from capflow_assets_tests.erasure.shops import USER, files_of, holding
from capflow_assets_tests.platform.services import Aws


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with versioning, over HTTP; this process's variables point at it. It is ``lake`` of a new server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # In a process of its own: deltalake does not let others of this one work while it looks for a table.
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for name, value in Aws(url, None).variables().items():  # type: ignore[arg-type]
            monkeypatch.setenv(name, value)
        wait_for(url)
        client = Aws(url, None).client("s3")  # type: ignore[arg-type]
        client.create_bucket(Bucket="lake")
        client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        yield client
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def test_a_bucket_keeps_no_older_version_of_an_object(bucket, tmp_path):
    import pyarrow as pa
    from deltalake import write_deltalake

    lake = Lake("s3://lake/brands", lambda: None)  # type: ignore[arg-type, return-value]
    for name in ("shop", "shop2"):
        for user in (USER, "ann"):
            write_deltalake(lake.path(name, "raw/users"), pa.table({"user_id": [user]}), mode="overwrite")
    assert keep_newest_version(lake.path("shop", "raw/users")) > 0
    assert keep_newest_version(lake.path("shop", "raw/users")) == 0
    versions = bucket.list_object_versions(Bucket="lake", Prefix="brands/shop2/")["Versions"]
    assert remove_old_objects(lake.prefix("shop")) > 0
    assert lake.arrow("shop", "raw/users").to_pylist() == [{"user_id": "ann"}]
    for version in bucket.list_object_versions(Bucket="lake", Prefix="brands/shop/")["Versions"]:
        assert version["IsLatest"]
        content = bucket.get_object(Bucket="lake", Key=version["Key"])["Body"].read()
        if not version["Key"].endswith("/"):
            (tmp_path / version["Key"].rsplit("/", 1)[1]).write_bytes(content)
    assert holding(tmp_path) == []
    assert bucket.list_object_versions(Bucket="lake", Prefix="brands/shop2/")["Versions"] == versions


def test_a_customer_in_a_bucket_is_retired_and_its_namesake_stays(bucket, tmp_path, monkeypatch):
    import pyarrow as pa
    from deltalake import write_deltalake

    home = TestHome(tmp_path / "home")
    for name in ("shop", "shop2"):
        home.ok("onboard", str(files_of(tmp_path / name, name)))
    with own_environment():
        monkeypatch.setenv("CAPFLOW_LAKE", "s3://lake/brands")
        place = Home.of(home.root)
        deployed = deployment(STAGES, SOURCES, home=place)
        for name in ("shop", "shop2"):
            write_deltalake(deployed.lake.path(name, "raw/users"), pa.table({"user_id": [USER, "ann"]}))
        with dagster_instance(place) as instance:
            [receipt] = forgetting.forget(deployed, DagsterRecords(instance), "shop", [USER], "a letter")
            assert receipt.rows_removed == {"raw/users": 1}
            assert deployed.lake.arrow("shop", "raw/users").to_pylist() == [{"user_id": "ann"}]
            from capflow_assets.graph.retirement import retire

            retire(deployed, instance, "shop", "contract ended")
    assert "Contents" not in bucket.list_objects_v2(Bucket="lake", Prefix="brands/shop/")
    assert "Versions" not in bucket.list_object_versions(Bucket="lake", Prefix="brands/shop/")
    assert bucket.list_objects_v2(Bucket="lake", Prefix="brands/shop2/")["Contents"]
