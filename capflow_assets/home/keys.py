"""The key of each customer, which its personal data is hashed with. Without it nobody can tell whose hash it is.

``CAPFLOW_PERSONAL_KEY`` is a secret of the deployment, from which every customer's key is derived. Where it is not set,
a customer's key is made at random when it is first needed and kept in ``{home}/keys``, which then has to be backed up
with the lake: another key makes other hashes. Keys are never shown: not in errors, logs, metadata or queries.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path
from typing import Protocol

from capflow_assets.errors import CapflowError

VARIABLE = "CAPFLOW_PERSONAL_KEY"
KEY_BYTES = 32
LEAST_CHARACTERS = 16


class Place(Protocol):
    """What is asked of a home: its folder, and where its tables are computed."""

    @property
    def root(self) -> Path:
        """The folder of the home."""

    @property
    def engine(self) -> str:
        """The name of the engine; ``cluster`` where the process is a guest, with a home that goes with it."""


def customer_key(home: Place, customer: str) -> bytes:
    """The key of a customer: derived from the deployment's secret, else read from the home, else made and kept there.

    Raises:
        CapflowError: the secret is too short; the file is no key; or a key would be made where it is not kept.
    """
    secret = os.environ.get(VARIABLE, "")
    if secret:
        if len(secret) < LEAST_CHARACTERS:
            expected = f"at least {LEAST_CHARACTERS} characters, best at random: openssl rand -hex 32"
            raise CapflowError(f"{VARIABLE} is too short", expected=expected, came=f"{len(secret)} characters")
        return hmac.digest(secret.encode(), f"customer {customer}".encode(), hashlib.sha256)
    file = _file(home, customer)
    if not file.exists():
        _make(home, file)
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        do = "restore it from a backup; without it, remove it and land everything again: capflow run … --full"
        raise CapflowError("That is no key", expected=f"{KEY_BYTES} bytes", came=f"{len(key)}", where=str(file), do=do)
    return key


def destroy_key(home: Place, customer: str) -> bool:
    """Remove a customer's own key, if there is one: what was hashed with it can be told by nobody any more."""
    file = _file(home, customer)
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


def _file(home: Place, customer: str) -> Path:
    return home.root / "keys" / customer


def _make(home: Place, file: Path) -> None:
    if home.engine == "cluster":
        raise CapflowError(
            "Personal data cannot be hashed: there is no key, and one that is made here would be gone with the process",
            expected=f"{VARIABLE}, the same for every run",
            do="keep it as a secret, and name it where the cluster's variables and secrets are named",
        )
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written under another name and linked: a reader sees a whole key, and of two writers one wins.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
