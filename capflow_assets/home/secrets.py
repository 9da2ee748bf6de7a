"""Secrets from AWS Secrets Manager as variables of this process, before a source asks for them with ``{env = "…"}``.

``CAPFLOW_SECRETS`` names them, by commas: a name or an ARN, or ``tag:KEY`` for all secrets that carry that tag. A
secret that is a JSON object gives one variable for each of its keys; any other text gives one that is called as the
secret (what stands after its last slash).
A variable that the process was started with is left alone. Values are never shown: not in errors, logs or metadata.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from capflow_assets.errors import CapflowError

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A long-lived process sees a rotated secret after this long.
FRESH_SECONDS = 300.0
# What this process took from secrets, and when it read them last.
TAKEN: set[str] = set()
READ_AT: dict[tuple[str, ...], float] = {}


def load_secrets(names: Sequence[str]) -> list[str]:
    """Put what the named secrets hold into the environment of this process, and give the names of those variables.

    Read again at most every ``FRESH_SECONDS``. Nothing is asked where no secret is named.

    Raises:
        CapflowError: a secret cannot be read, or holds what is no variable; names the secret, never its value.
    """
    secrets = tuple(names)
    if secrets and time.monotonic() - READ_AT.get(secrets, -FRESH_SECONDS) >= FRESH_SECONDS:
        for name, value in read_secrets(secrets).items():
            if name in TAKEN or name not in os.environ:
                os.environ[name] = value
                TAKEN.add(name)
        READ_AT[secrets] = time.monotonic()
    return sorted(TAKEN)


def read_secrets(names: Sequence[str]) -> dict[str, str]:
    """The variables that the named secrets hold; where two hold the same, the one named later.

    Raises:
        CapflowError: see `load_secrets`.
    """
    return dict(_values(names))


def _values(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    from botocore.exceptions import BotoCoreError, ClientError
    from dagster_aws.secretsmanager.secrets import construct_secretsmanager_client

    reading = ",".join(names)
    try:
        client = construct_secretsmanager_client(max_attempts=5)
        for secret in _secrets(client, names):
            reading = secret
            answer = client.get_secret_value(SecretId=secret)
            yield from variables(str(answer["Name"]), answer.get("SecretString"))
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise CapflowError(
            "A secret cannot be read",
            came=str(code),
            where=f"CAPFLOW_SECRETS: {reading}",
            do="check its name and region, and that this identity may secretsmanager:GetSecretValue (and ListSecrets "
            "for tag:) and kms:Decrypt",
        ) from None


def _secrets(client: Any, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if not name.startswith("tag:"):
            yield name
            continue
        pages = client.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "tag-key", "Values": [name.removeprefix("tag:")]}]
        )
        yield from sorted(secret["ARN"] for page in pages for secret in page["SecretList"])


def variables(secret: str, text: str | None) -> list[tuple[str, str]]:
    """The variables that a secret's text means.

    >>> variables("shop/database", '{"SHOP_PASSWORD": "s3cret", "SHOP_PORT": 5432}')
    [('SHOP_PASSWORD', 's3cret'), ('SHOP_PORT', '5432')]
    >>> variables("SHOP_TOKEN", "abc")
    [('SHOP_TOKEN', 'abc')]

    Raises:
        CapflowError: it is binary, or a name in it can be no variable's.
    """
    try:
        content = json.loads(text or "")
    except ValueError:
        content = None
    entries = content if isinstance(content, dict) else {secret.rsplit("/", 1)[-1]: text}
    unfit = [str(name) for name in entries if not VARIABLE.fullmatch(str(name))]
    if text is None or unfit or any(isinstance(value, (dict, list)) or value is None for value in entries.values()):
        raise CapflowError(
            "A secret cannot become variables",
            expected="a JSON object of names and texts, or a text whose secret is called as a variable",
            came=f"a name that is none: {unfit[0]!r}" if unfit else "a binary secret, or values that are no texts",
            where=f"secret {secret}",
        )
    return [(str(name), value if isinstance(value, str) else json.dumps(value)) for name, value in entries.items()]
