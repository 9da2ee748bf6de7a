"""``{home}/capflow.toml``, or the file that ``CAPFLOW_SETTINGS`` names: what an operator says of a deployment.

Does not belong here: what follows from it for a customer (``fences``).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from capflow_assets.customers.toml_problems import validation_problems
from capflow_assets.errors import CapflowError, CustomerError, shortened
from capflow_assets.home.places import Home
from capflow_assets.paths.fence import S3
from capflow_assets.transfer.dynamodb_table import DynamoTable
from capflow_assets.transfer.redis_server import RedisServer

FILE = "capflow.toml"
CUSTOMER, VARIABLE = "{customer}", "{CUSTOMER}"
_STRICT = ConfigDict(extra="forbid", defer_build=True, frozen=True)


def _with_known_names(patterns: tuple[str, ...], known: str) -> tuple[str, ...]:
    """Refuse braces that stand for nothing: a name that is mistyped would make of all customers' roots a shared one."""
    if unknown := [pattern for pattern in patterns if set("{}") & set(pattern.replace(known, ""))]:
        raise ValueError(f"no name in braces but {known}; {shortened(repr(unknown[0]))} has another")
    return patterns


class Sources(BaseModel):
    """``[sources]``: what customers may read."""

    model_config = _STRICT

    roots: tuple[str, ...] = Field((), description="Folders or s3://bucket/prefix; {customer} stands for its name.")
    secrets: tuple[str, ...] = Field((), description="Variables, such as {CUSTOMER}_*, with its name in capitals.")

    @field_validator("roots")
    @classmethod
    def _absolute(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        for root in roots:
            if not (root.startswith(S3) or Path(root).is_absolute()) or set("*?[") & set(root):
                raise ValueError("an absolute folder or s3://bucket/prefix, without patterns")
        return _with_known_names(roots, CUSTOMER)

    @field_validator("secrets")
    @classmethod
    def _named(cls, secrets: tuple[str, ...]) -> tuple[str, ...]:
        return _with_known_names(secrets, VARIABLE)


class RedisAnswers(RedisServer):
    """``kind = "redis"``: online answers are looked up in Redis, or in what speaks like it."""

    kind: Literal["redis"]
    timeout_ms: int = Field(100, ge=1, le=60_000, description="Longest wait for a look-up; then the ladder answers.")


class DynamoAnswers(DynamoTable):
    """``kind = "dynamodb"``: online answers are looked up in a table of DynamoDB that nothing else writes."""

    kind: Literal["dynamodb"]
    timeout_ms: int = Field(250, ge=1, le=60_000, description="Longest wait for a look-up; then the ladder answers.")
    keep_days: float = Field(
        7, gt=0, le=366, description="So long a version of a table stays; the time to live is in _expires."
    )


class Serving(BaseModel):
    """``[serving]``: where online answers are looked up; in files of the home where no ``store`` is named."""

    model_config = _STRICT

    store: RedisAnswers | DynamoAnswers | None = Field(None, discriminator="kind")


class Settings(BaseModel):
    """All of ``capflow.toml``."""

    model_config = _STRICT

    sources: Sources = Field(default_factory=lambda: Sources.model_validate({}))
    serving: Serving = Field(default_factory=lambda: Serving.model_validate({}))


def settings(home: Home) -> Settings:
    """What the home's ``capflow.toml`` says; all by default where there is none.

    Raises:
        CapflowError: it is no TOML, or says what is not known.
    """
    file = home.settings
    try:
        return Settings.model_validate(tomllib.loads(settings_text(home)))
    except ValidationError as error:
        parts = (Settings, Sources, Serving, RedisAnswers, DynamoAnswers)
        fields = list(dict.fromkeys(name for part in parts for name in part.model_fields))
        raise CustomerError.listing(str(file), validation_problems(error, "", fields)) from None
    except ValueError as error:
        do = "mend it; nothing lands until it can be read"
        raise CapflowError("The deployment's settings are no TOML", came=str(error), where=str(file), do=do) from None


def settings_text(home: Home) -> str:
    """The settings as they are written; blank where there are none.

    Raises:
        CapflowError: the file is named and is not there, or cannot be read.
    """
    file = home.settings
    if not home.settings_file and not file.exists():
        return ""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        do = "mend it; nothing lands until it can be read"
        what = "The deployment's settings cannot be read"
        raise CapflowError(what, came=str(error), where=str(file), do=do) from None
