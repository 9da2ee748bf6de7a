"""What a customer may say about its MongoDB collections."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from capflow_assets.sources.reading import documents
from capflow_assets.transfer.secrets import FromEnv

MOST_PARTS = 512


def _query(written: str) -> str:
    if written:
        try:
            query = json.loads(written)
        except ValueError as error:
            raise ValueError(f"a query as JSON; {error}") from None
        if not isinstance(query, dict):
            raise ValueError('a query as JSON, such as {"status": "paid"}')
        if "$where" in written or "$function" in written:
            raise ValueError("a query without JavaScript ($where, $function)")
    return written


class Options(documents.Reading):
    """Who reads, which documents, and how much at a time."""

    user: str | FromEnv | None = Field(None, description="The user; none where the server asks for none.")
    password: FromEnv | None = Field(None, description='Its password: { env = "NAME" } of a variable.')
    auth_source: str = Field("admin", description="The database that knows the user.")
    tls: bool | None = Field(None, description="Whether the connection is encrypted; as the scheme says by default.")
    tls_ca_file: str | None = Field(None, description="The certificates to trust; the system's by default.")
    replica_set: str | None = Field(None, description="The name of the replica set, where it must be that one.")
    read_preference: Literal["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] = Field(
        "secondaryPreferred", description="Which members answer: secondaries spare the one that the shop writes to."
    )
    query: Annotated[str, AfterValidator(_query)] = Field(
        "", description='Which documents, in (extended) JSON: {"status": "paid"}. All by default.'
    )
    parts: int | None = Field(
        None, ge=1, le=MOST_PARTS, description="Ranges read in parallel; one per 64 MiB by default. 1 uses any index."
    )
    batch_documents: int = Field(10_000, ge=1, le=1_000_000, description="Most documents in one answer (of 16 MiB).")

    @model_validator(mode="after")
    def _whose_password(self) -> Options:
        if self.password is not None and self.user is None:
            raise ValueError("a user beside the password")
        return self
