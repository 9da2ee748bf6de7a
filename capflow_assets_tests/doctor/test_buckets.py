"""A lake and sources in a bucket, real ones and such as cannot work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from capflow_assets import doctor
from capflow_assets_tests.doctor.examinations import examined, only, shown, states

PLANTED = "pl4nted-secret"


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
def test_wrong_keys_are_reported_and_never_shown(tmp_path, store):
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
    result = only(examined(tmp_path, "lake.identity"))
    assert (result.state, result.found) == ("broken", "no credentials")


def test_sources_in_a_bucket(bucket):
    from capflow_assets.doctor.sources import is_in_bucket
    from capflow_assets.home.places import Home

    bucket.put_object(Bucket="lake", Key="sent/bills 1.csv", Body=b"a\n")
    case = doctor.Case(Home.of("/nowhere"), lambda: None)
    there = ("sent/bills 1.csv", "sent", "sent/", "sent/*.csv", "s*/bills*")
    assert [is_in_bucket(case, f"s3://lake/{key}") for key in there] == [True] * len(there)
    assert [is_in_bucket(case, f"s3://lake/{key}") for key in ("sen", "sent/bills", "gone/*.csv")] == [False] * 3
    bucket.delete_object(Bucket="lake", Key="sent/bills 1.csv")


def test_secrets_of_aws_are_there_for_later_checks(tmp_path, bucket, store, monkeypatch):
    import boto3

    address, _ = store
    client = boto3.client("secretsmanager", endpoint_url=address, region_name="eu-west-1")
    client.create_secret(Name="capflow/tokens", SecretString=json.dumps({"SHOP_DOOR": PLANTED}))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("SHOP_DOOR", "")
    monkeypatch.delenv("SHOP_DOOR")
    monkeypatch.setenv("CAPFLOW_SECRETS", "capflow/tokens")
    result = only(examined(tmp_path, "configuration.secrets"))
    assert (result.state, "SHOP_DOOR" in result.found, PLANTED in result.found) == ("ok", True, False)
    monkeypatch.setenv("CAPFLOW_SECRETS", "capflow/gone")
    result = only(examined(tmp_path, "configuration.secrets"))
    assert (result.state, "ResourceNotFoundException" in result.found) == ("broken", True)
