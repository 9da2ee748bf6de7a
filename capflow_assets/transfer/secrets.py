"""Credentials by the name of a variable of the environment: read where they are used, never shown, never sent.

A customer writes ``password = { env = "SHOP_PASSWORD" }``. What travels (to workers, in plans, to logs) is that name.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.errors import SourceError

NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
SHOWN_CHARACTERS = 300


class Hidden:
    """Stands in an error of pydantic's where it would show what came."""

    def __repr__(self) -> str:
        return "(not shown)"


class FromEnv(BaseModel):
    """A secret that the environment holds under the name ``env``.

    >>> FromEnv(env="SHOP_PASSWORD")
    FromEnv(env='SHOP_PASSWORD')
    """

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    env: str = Field(pattern=NAME, description="The variable that holds it.")

    # Before-validators run from the last to the first: what came is hidden before anything can complain of it.
    @model_validator(mode="before")
    @classmethod
    def _is_name(cls, data: Any) -> Any:
        if isinstance(data, Hidden):
            raise ValueError('{ env = "NAME" }, the name of a variable of the environment that holds it')
        return data

    @model_validator(mode="before")
    @classmethod
    def _hide(cls, data: Any) -> Any:
        named = isinstance(data, dict) and set(data) == {"env"} and isinstance(data["env"], str)
        is_name = named and re.fullmatch(NAME, data["env"])
        return data if is_name or isinstance(data, FromEnv) else Hidden()

    def value(self) -> str:
        """The secret, read now.

        Raises:
            SourceError: the variable is not set, or empty.
        """
        secret = os.environ.get(self.env, "")
        if not secret:
            do = "set it for the process that runs the assets, and for its workers where they run elsewhere"
            raise SourceError("A variable of the environment is not set", expected=f"{self.env}, with a secret", do=do)
        return secret


def refuse_credentials(location: str) -> None:
    """Refuse a location with a user or a password in it, without showing them.

    Raises:
        SourceError: names the host alone.

    >>> refuse_credentials("postgresql://shop.example.com/crm")
    """
    scheme, is_url, rest = location.partition("://")
    if is_url and "@" in rest:
        raise SourceError(
            "A location holds credentials",
            expected=f"{scheme}://host/…, without user and password",
            where=f"{scheme}://(not shown)@{rest.rpartition('@')[2]}",
            do='put them into the options: user = "…", password = { env = "NAME" }',
        )


def first_line(error: BaseException, *secrets: str | None) -> str:
    """The first line of another library's error, without the ``secrets`` in any spelling.

    >>> first_line(ValueError("cannot log in with p%20w or p w\\nmore"), "p w")
    'cannot log in with *** or ***'
    """
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    for secret in filter(None, secrets):
        for spelling in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}:
            text = text.replace(spelling, "***")
    return text[:SHOWN_CHARACTERS]
