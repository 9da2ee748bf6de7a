"""The lake in a bucket, by two identities that may each see one customer: the whole way, over a real HTTP S3.

moto stores and serves; the door before it (`policy_gate`) judges every request by our own documents. Whether a caller
may use the KMS key is not judged there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.policies import bucket_encryption, bucket_policy, customer_policy
from capflow_assets_doubles.page_server import environment
from capflow_assets_tests.platform.services import Aws, aws, capflow

BUCKET = "lake-of-two"
LAKE = f"s3://{BUCKET}/brands"
LOGS = f"s3://{BUCKET}/logs"
# The name of one begins with the name of the other.
SELECT = {"shop": "raw/bills,clean/bills,features/rfm,*/rfm_segments", "shop2": "raw/bills"}

TALK = """
import sys
import dagster as dg
from capflow_assets.home.places import Home
from capflow_assets.graph.launch import dagster_instance

@dg.op
def talk():
    print("how many bills")
    print("too few bills", file=sys.stderr)

@dg.job
def talking():
    talk()

with dagster_instance(Home.of()) as instance:
    assert talking.execute_in_process(instance=instance).success
"""


@dataclass(frozen=True)
class Two:
    """The bucket, the key it encrypts with, a home, and each customer's variables."""

    aws: Aws
    key: str
    home: Path
    of: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two customers in one bucket, each run by an identity of its own; ``shop2`` sends only bills."""
    folder = tmp_path_factory.mktemp("bucket")
    with aws() as cloud:
        storage = cloud.client("s3")
        storage.create_bucket(Bucket=BUCKET)
        key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
        storage.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=bucket_encryption(key))
        cloud.gate.buckets[BUCKET] = bucket_policy(LAKE, key)
        places = {"CAPFLOW_LAKE": LAKE, "CAPFLOW_COMPUTE_LOGS": LOGS}
        of = {
            name: cloud.variables(cloud.identity(name, customer_policy(LAKE, name, kms_key=key, compute_logs=LOGS)))
            | places
            for name in SELECT
        }
        cloud.gate.closed = cloud.gate.secure = True
        two = Two(cloud, key, folder / "home", of)
        for seed, (name, select) in enumerate(SELECT.items(), start=3):
            toml = write(simulate(tiny(name, seed=seed, users=200, sends=("bills",))), folder / name)
            for arguments in (("onboard", str(toml)), ("run", name, "--select", select)):
                done = capflow(two.home, *arguments, **of[name])
                assert done.returncode == 0, done.stderr + done.stdout
        # Each minute of a step Dagster asks whether its log is whole, and takes a refusal for no.
        refused = [one for one in cloud.gate.refused if one[1] != "s3:GetObject" or f"{BUCKET}/logs/" not in one[2]]
        assert refused == [], "an identity needs nothing but its own prefix"
        yield two


def shown(two: Two, table: str, customer: str, by: str) -> tuple[int, str]:
    done = capflow(two.home, "show", table, "--customer", customer, "--format", "json", **two.of[by])
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout or done.stderr


@pytest.mark.parametrize(("customer", "table"), [("shop", "predictions/rfm_segments"), ("shop2", "raw/bills")])
def test_each_reads_what_is_its_own(two: Two, customer: str, table: str) -> None:
    code, out = shown(two, table, customer, by=customer)
    assert code == 0, out
    assert len(json.loads(out)) > 100


@pytest.mark.parametrize(
    ("customer", "table", "by"), [("shop", "predictions/rfm_segments", "shop2"), ("shop2", "raw/bills", "shop")]
)
def test_nobody_reads_what_is_the_others(two: Two, customer: str, table: str, by: str) -> None:
    code, out = shown(two, table, customer, by=by)
    assert code == 1
    assert "403 Forbidden" in out


@pytest.mark.parametrize("by", ["shop", "shop2"])
def test_nobody_writes_or_runs_for_the_other(two: Two, by: str) -> None:
    other = next(name for name in SELECT if name != by)
    before = two.aws.keys(BUCKET, f"brands/{other}/")
    two.aws.gate.refused.clear()
    done = capflow(two.home, "run", other, "--select", "raw/bills", **two.of[by])
    assert done.returncode == 1
    assert {identity for identity, _, _ in two.aws.gate.refused} == {by}
    assert two.aws.keys(BUCKET, f"brands/{other}/") == before


@pytest.mark.parametrize("prefix", ["", "brands", "brands/", "brands/shop", "brands/shop2/", "brands/shop2/raw/"])
def test_a_list_of_more_than_its_own_is_refused(two: Two, prefix: str) -> None:
    from botocore.exceptions import ClientError

    client = two.aws.client("s3", keys_of(two, "shop"))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="brands/shop/")["KeyCount"] > 10


def test_single_objects_are_refused_too(two: Two) -> None:
    from botocore.exceptions import ClientError

    client = two.aws.client("s3", keys_of(two, "shop2"))
    theirs = next(key for key in two.aws.keys(BUCKET, "brands/shop/raw/bills/") if key.endswith(".parquet"))
    own = "brands/shop2/theirs"
    for act in (
        lambda: client.get_object(Bucket=BUCKET, Key=theirs),
        lambda: client.put_object(Bucket=BUCKET, Key=theirs, Body=b""),
        lambda: client.delete_object(Bucket=BUCKET, Key=theirs),
        lambda: client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": theirs}]}),
        lambda: client.copy_object(Bucket=BUCKET, Key=own, CopySource={"Bucket": BUCKET, "Key": theirs}),
        lambda: client.get_object(Bucket=BUCKET, Key=next(iter(two.aws.keys(BUCKET, "logs/")))),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            act()
    assert theirs in two.aws.keys(BUCKET)


def test_a_reader_reads_and_does_not_write(two: Two) -> None:
    from botocore.exceptions import ClientError

    keys = two.aws.identity("analyst", customer_policy(LAKE, "shop", access="read", kms_key=two.key))
    variables = two.aws.variables(keys) | {"CAPFLOW_LAKE": LAKE}
    done = capflow(two.home, "show", "features/rfm", "--customer", "shop", "--format", "json", **variables)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) > 100
    client = two.aws.client("s3", keys)
    for act in (client.put_object, client.delete_object):
        with pytest.raises(ClientError, match="AccessDenied"):
            act(Bucket=BUCKET, Key="brands/shop/notes")


def test_every_object_is_encrypted_with_the_lakes_key(two: Two) -> None:
    client = two.aws.client("s3")
    heads = {key: client.head_object(Bucket=BUCKET, Key=key) for key in two.aws.keys(BUCKET)}
    assert {"raw", "clean", "features", "predictions", "health", "plots", "mlflow"} <= {
        key.split("/")[2] for key in heads if key.startswith("brands/shop/")
    }
    used = {(head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) for head in heads.values()}
    assert used == {("aws:kms", two.key)}


def test_another_encryption_is_refused_whoever_asks(two: Two) -> None:
    from botocore.exceptions import ClientError

    other = two.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    for keys in (keys_of(two, "shop"), ("root", "root")):
        client = two.aws.client("s3", keys)
        for wrong in (
            {"ServerSideEncryption": "AES256"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other},
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                client.put_object(Bucket=BUCKET, Key="brands/shop/notes", Body=b"", **wrong)
        client.put_object(
            Bucket=BUCKET, Key="brands/shop/notes", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=two.key
        )
        client.delete_object(Bucket=BUCKET, Key="brands/shop/notes")


def test_the_engine_names_the_encryption_where_it_is_told_to(two: Two) -> None:
    """Without it the bucket's own is taken. A wrong one is refused, so it is known that it was sent."""
    wrong = two.of["shop2"] | {"AWS_SERVER_SIDE_ENCRYPTION": "AES256"}
    done = capflow(two.home, "run", "shop2", "--select", "raw/bills", **wrong)
    assert done.returncode == 1
    assert "403 Forbidden" in done.stdout + done.stderr
    right = two.of["shop2"] | {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": two.key}
    done = capflow(two.home, "run", "shop2", "--select", "raw/bills", **right)
    assert done.returncode == 0, done.stderr + done.stdout


def test_without_tls_nobody_is_let_in(two: Two) -> None:
    from botocore.exceptions import ClientError

    two.aws.gate.secure = False
    try:
        for keys in (keys_of(two, "shop"), ("root", "root")):
            with pytest.raises(ClientError, match="AccessDenied"):
                two.aws.client("s3", keys).list_objects_v2(Bucket=BUCKET, Prefix="brands/shop/")
    finally:
        two.aws.gate.secure = True


def test_everything_lies_below_a_customers_prefix_or_among_the_logs(two: Two) -> None:
    keys = two.aws.keys(BUCKET)
    assert {"/".join(key.split("/")[:2]) for key in keys if key.startswith("brands/")} == {
        "brands/shop",
        "brands/shop2",
    }
    assert all(key.startswith(("brands/", "logs/")) for key in keys)
    assert not [key for key in keys if "/_staging" in key], "what is staged is taken away"
    assert not (two.home / "lake").exists()


def test_a_run_of_a_customer_leaves_its_logs_in_the_bucket(two: Two) -> None:
    names = {key.rsplit("/", 1)[-1] for key in two.aws.keys(BUCKET, "logs/")}
    assert {name.rsplit(".", 1)[-1] for name in names} == {"out", "err"}


def test_what_a_step_prints_is_kept_in_the_bucket(two: Two, tmp_path: Path) -> None:
    variables = two.of["shop"] | {"CAPFLOW_COMPUTE_LOGS": f"{LOGS}/talk", "CAPFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", TALK], env=environment(**variables), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    client = two.aws.client("s3")
    said = {
        key.rsplit(".", 1)[-1]: client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in two.aws.keys(BUCKET, "logs/talk/")
    }
    assert said["out"] == b"how many bills\n"
    assert b"too few bills" in said["err"]


def keys_of(two: Two, name: str) -> tuple[str, str]:
    return two.of[name]["AWS_ACCESS_KEY_ID"], two.of[name]["AWS_SECRET_ACCESS_KEY"]
