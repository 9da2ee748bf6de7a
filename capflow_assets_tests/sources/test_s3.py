"""Files in a bucket: a real S3 server in this process, and an engine of its own that was started for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.sources.reading import storage

SCRIPT = """
import json, sys
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
from capflow_assets.sources import csv, delta, excel, json as json_files, parquet
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
text = csv.read(spark, "s3://tables/in/*.csv", csv.Options()).select("a", "b").collect()
plain = parquet.read(spark, "s3://tables/plain", parquet.Options()).collect()
stamps = parquet.read(spark, "s3://tables/stamps.parquet", parquet.Options()).collect()
row = csv.find_rows("s3://tables/in/a b.csv", csv.Options(), [{"a": "1"}])
lines = json_files.read(spark, "s3://tables/json", json_files.Options()).collect()
cells = excel.read(spark, "s3://tables/b.xlsx", excel.Options()).collect()
table = delta.read(spark, "s3://tables/table", delta.Options()).collect()
found = [[list(row) for row in rows] for rows in (text, lines, cells, table)]
print(json.dumps([*found, plain[0][0], str(stamps[0][0]), row]))
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """The environment that leads to a bucket ``tables`` with a file of each kind and a Delta table."""
    import boto3
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xlsxwriter
    from deltalake import write_deltalake
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=address, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket="tables", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_object(Bucket="tables", Key="in/a b.csv", Body=b"a,b\n1,2\n")
    for key, column in (
        ("plain/1.parquet", pa.array([7])),
        ("stamps.parquet", pa.array([1_500_000_000_000_000_000], pa.timestamp("ns"))),
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"a": column}), sink)
        client.put_object(Bucket="tables", Key=key, Body=sink.getvalue().to_pybytes())
    client.put_object(Bucket="tables", Key="json/a b.jsonl", Body=b'{"a": {"b": 1}}\noops\n')
    book = io.BytesIO()
    with xlsxwriter.Workbook(book) as workbook:
        workbook.add_worksheet().write_column(0, 0, ["a", 5])
    client.put_object(Bucket="tables", Key="b.xlsx", Body=book.getvalue())
    way = {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "eu-west-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    write_deltalake("s3://tables/table", pa.table({"a": [9]}), storage_options=way)
    yield way
    server.stop()


def test_reading_a_bucket(bucket: dict[str, str]) -> None:
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=os.environ | bucket, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    text, lines, cells, table, *others = json.loads(done.stdout.strip().splitlines()[-1])
    assert text == [["1", "2"]]
    reason = "is no JSON (Expecting value at character 1): 'oops'"
    assert lines == [[[1], None, None, "a b.jsonl:1"], [None, None, reason, "a b.jsonl:2"]]
    assert cells == [[5, "b.xlsx!Sheet1:2"]]
    assert table == [[9]]
    assert others == [7, "2017-07-14 02:40:00", [1]]


def test_what_is_not_there(bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match="There are no files"):
        storage.stored_files("s3://tables/nope/*.csv")
    with pytest.raises(SourceError) as caught:
        storage.stored_files("s3://nobody/bills.csv")
    assert "s3://nobody/bills.csv" in str(caught.value)
