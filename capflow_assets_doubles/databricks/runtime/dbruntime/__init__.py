"""What a Databricks runtime adds to Python: ``spark``, ``sc`` and ``dbutils``, and the run's own credentials.

``databricks.sdk.runtime`` and the SDK's ``runtime`` authentication look for this package by its name.
"""

from __future__ import annotations

from typing import Any


class Credentials:
    """Where the workspace is and the token of the run; known only inside a run."""

    host: str = ""
    token: str = ""


class UserNamespaceInitializer:
    """Holds the names that a script finds without importing them."""

    _only: UserNamespaceInitializer | None = None

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"dbutils": DbUtils()}

    @classmethod
    def getOrCreate(cls) -> UserNamespaceInitializer:  # noqa: N802 - the runtime's own name
        cls._only = cls._only or cls()
        return cls._only

    def get_namespace_globals(self) -> dict[str, Any]:
        return self.names


class DbUtils:
    """The SDK's ``dbutils`` with the run's credentials, made at first use."""

    def __getattr__(self, name: str) -> Any:
        from databricks.sdk.core import Config
        from databricks.sdk.dbutils import RemoteDbUtils

        utilities = RemoteDbUtils(Config(host=Credentials.host, token=Credentials.token))
        self.__dict__.update(fs=utilities.fs, secrets=utilities.secrets, jobs=utilities.jobs)
        return getattr(utilities, name)
