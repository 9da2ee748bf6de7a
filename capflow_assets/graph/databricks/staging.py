"""The folder through which the orchestrator and a Databricks run exchange files, seen from the orchestrator.

On a Unity Catalog volume through the Files API, or on DBFS. Whoever can write there can run code as the step does, so
the folder belongs to the identity that submits the runs, and to it alone.
"""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

BLOCK_BYTES = 1 << 20
DBFS = "dbfs:"


class Staging(Protocol):
    """Small files by their path below the staging folder."""

    def put(self, name: str, content: bytes) -> None:
        """Write a whole file."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def read(self, name: str, start: int) -> bytes:
        """The bytes from ``start`` on; empty where there are none yet, or no such file."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def mounted(self, name: str) -> str:
        """The path that the step's process opens as a file."""

    def library(self, name: str) -> str:
        """The path that names a library for Databricks to install."""


def staging_of(client: Any, place: str) -> Staging:
    """The staging folder at ``place``, ``/Volumes/…`` or ``dbfs:/…``, through a workspace client."""
    return _Dbfs(client, place) if place.startswith(DBFS) else _Volume(client, place)


class _Volume:
    """A folder of a Unity Catalog volume."""

    def __init__(self, client: Any, place: str) -> None:
        self._client, self._place = client, place

    def put(self, name: str, content: bytes) -> None:
        self._client.files.upload(self.mounted(name), io.BytesIO(content), overwrite=True)

    def has(self, name: str) -> bool:
        from databricks.sdk.errors import NotFound

        try:
            self._client.files.get_metadata(self.mounted(name))
        except NotFound:
            return False
        return True

    def read(self, name: str, start: int) -> bytes:
        from databricks.sdk.errors import NotFound
        from databricks.sdk.errors.base import DatabricksError

        # The SDK's own download always begins at the first byte; the API takes a range.
        headers = {"Accept": "application/octet-stream", "Range": f"bytes={start}-"}
        try:
            answer = self._client.api_client.do(
                "GET", f"/api/2.0/fs/files{quote(self.mounted(name))}", headers=headers, raw=True
            )
        except NotFound:
            return b""
        except DatabricksError as error:
            if "RANGE" in str(error.error_code or "").upper() or "range" in str(error).lower():
                return b""  # nothing beyond ``start`` yet
            raise
        with answer["contents"] as stream:
            return bytes(stream.read())

    def remove(self, name: str) -> None:
        from databricks.sdk.errors import NotFound

        with suppress(NotFound):
            self._client.files.delete(self.mounted(name))

    def mounted(self, name: str) -> str:
        return f"{self._place}/{name}"

    def library(self, name: str) -> str:
        return self.mounted(name)


class _Dbfs:
    """A folder of DBFS: for workspaces without volumes, and for dedicated clusters alone."""

    def __init__(self, client: Any, place: str) -> None:
        self._client, self._folder = client, place.removeprefix(DBFS)

    def put(self, name: str, content: bytes) -> None:
        path = f"{self._folder}/{name}"
        if len(content) <= BLOCK_BYTES // 2:
            self._client.dbfs.put(path, contents=base64.b64encode(content).decode(), overwrite=True)
            return
        handle = self._client.dbfs.create(path, overwrite=True).handle
        for start in range(0, len(content), BLOCK_BYTES):
            block = base64.b64encode(content[start : start + BLOCK_BYTES]).decode()
            self._client.dbfs.add_block(handle, block)
        self._client.dbfs.close(handle)

    def has(self, name: str) -> bool:
        from databricks.sdk.errors import NotFound

        try:
            self._client.dbfs.get_status(f"{self._folder}/{name}")
        except NotFound:
            return False
        return True

    def read(self, name: str, start: int) -> bytes:
        from databricks.sdk.errors import InvalidParameterValue, NotFound

        content = b""
        while True:
            try:
                block = self._client.dbfs.read(
                    f"{self._folder}/{name}", offset=start + len(content), length=BLOCK_BYTES
                )
            except (NotFound, InvalidParameterValue):  # no such file yet, or nothing beyond its end
                return content
            content += base64.b64decode(block.data or "")
            if (block.bytes_read or 0) < BLOCK_BYTES:
                return content

    def remove(self, name: str) -> None:
        self._client.dbfs.delete(f"{self._folder}/{name}")

    def mounted(self, name: str) -> str:
        return f"/dbfs{self._folder}/{name}"

    def library(self, name: str) -> str:
        return f"{DBFS}{self._folder}/{name}"
