"""A server that speaks like DynamoDB and keeps its conditions and transactions: moto, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def dynamodb_server() -> Iterator[Any]:
    """AWS's own client of a server in this process; ``meta.endpoint_url`` is its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    client = boto3.client("dynamodb", endpoint_url=address, region_name="eu-west-1", **keys)
    yield client
    client.close()
    server.stop()


def create_table(client: Any, name: str) -> None:
    """A table with a partition key ``key`` and a sort key ``model``."""
    names = {"key": "HASH", "model": "RANGE"}
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": one, "KeyType": kind} for one, kind in names.items()],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in names],
        BillingMode="PAY_PER_REQUEST",
    )
