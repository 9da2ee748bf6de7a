"""The whole way with the lake in a bucket: tables, plots and models over a real HTTP S3, by configuration alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_tests.platform.test_postgres import capflow


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """The variables that put the lake into a bucket ``lake`` of an S3 server in this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1"}
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket="lake")
    yield {
        **keys,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": address,
        "CAPFLOW_LAKE": "s3://lake/brands",
    }
    server.stop()


@pytest.fixture(scope="module")
def home(bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose lake lies in the bucket, and in which one customer was run."""
    folder = tmp_path_factory.mktemp("bucket")
    toml = write(simulate(tiny("shop", seed=3, users=200, sends=("bills",))), folder / "files")
    select = "raw/bills,clean/bills,features/rfm,*/rfm_segments"
    for arguments in (("onboard", str(toml)), ("run", "shop", "--select", select)):
        done = capflow(folder / "home", *arguments, **bucket)
        assert done.returncode == 0, done.stderr
    return folder / "home"


def test_predictions_come_back_from_the_bucket(home: Path, bucket: dict[str, str]) -> None:
    shown = capflow(home, "show", "predictions/rfm_segments", "--customer", "shop", "--format", "json", **bucket)
    assert shown.returncode == 0, shown.stderr
    assert len(json.loads(shown.stdout)) > 100


def test_everything_of_the_customer_lies_below_its_prefix(home: Path, bucket: dict[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=bucket["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="lake")["Contents"]]
    assert all(key.startswith("brands/shop/") for key in keys)
    kinds = {key.split("/")[2] for key in keys}
    assert {"raw", "clean", "features", "predictions", "health", "plots", "mlflow"} <= kinds
    assert not [key for key in keys if "/_staging" in key], "what is staged is taken away"
    assert not (home / "lake").exists()
