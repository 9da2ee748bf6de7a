"""A table of DynamoDB: where it is, whose keys open it, and its errors.

Shared by the destination of deliveries and by the store of online answers.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.errors import CapflowError
from capflow_assets.transfer.own_keys import require_own_keys
from capflow_assets.transfer.secrets import FromEnv, first_line

CREDENTIALS = ("AccessDenied", "UnrecognizedClient", "InvalidSignature", "ExpiredToken", "MissingAuthentication")


class DynamoTable(BaseModel):
    """Which table, by which keys."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    region: str = Field(pattern=r"^[a-z0-9-]{3,32}$", description="The table's region.")
    table: str = Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$", description="The table.")
    partition_key: str = Field("key", min_length=1, description="The attribute of the partition key, of text.")
    sort_key: str = Field("model", min_length=1, description="The attribute of the sort key, of text.")
    access_key: FromEnv | None = Field(None, description="AWS access key id; else as AWS's own tools find them.")
    secret_key: FromEnv | None = Field(None, description="AWS secret access key, likewise.")
    endpoint: str | None = Field(None, description="Another address than AWS's; the keys must be given with it.")

    @model_validator(mode="after")
    def _keys_of_the_customer(self) -> Self:
        require_own_keys(self.access_key, self.secret_key, self.endpoint)
        return self


def dynamodb_client(
    table: DynamoTable, *, tries: int, connect_seconds: float = 15, read_seconds: float = 60, connections: int = 10
) -> Any:
    """A client of the table, to be shared by threads.

    Raises:
        SourceError: the variable of a key is not set.
    """
    import boto3
    from botocore.config import Config

    given = {"aws_access_key_id": table.access_key, "aws_secret_access_key": table.secret_key}
    keys = {name: secret.value() for name, secret in given.items() if secret is not None}
    patience = Config(
        retries={"mode": "standard", "total_max_attempts": tries},
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=connections,
    )
    session = boto3.session.Session(region_name=table.region, **keys)
    return session.client("dynamodb", endpoint_url=table.endpoint, config=patience)


def error_code(error: Exception) -> str:
    """What AWS's library calls an error."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))


def dynamodb_error(error: Exception, table: str, kind: type[CapflowError], refused: str) -> CapflowError:
    """What AWS's library says, as a person reads it (its messages hold no secret keys); ``refused``: to no avail."""
    code = error_code(error)
    what, do = "DynamoDB is not reached", "check the region, the endpoint and that this machine may reach it"
    if code == "ResourceNotFoundException":
        what, do = "There is no such table", "check the region and the table's name"
    elif any(code.startswith(name) for name in CREDENTIALS) or "Credentials" in code:
        what, do = "DynamoDB does not accept the credentials", "check the keys and what their owner may write"
    elif getattr(error, "response", {}):
        what, do = refused, "check the table's keys (both of text) and what is written"
    return kind(what, came=first_line(error), where=table, do=do)
