"""A place for files, a folder or an ``s3://`` prefix, in which files are written whole, read, listed and removed.

Names are relative to the place, with slashes. What the platform keeps and what is another customer's is refused
(``paths.fence``).
"""

from __future__ import annotations

import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.errors import CapflowError, DeliveryError, SourceError
from capflow_assets.paths import fence
from capflow_assets.transfer.calls import Address
from capflow_assets.transfer.own_keys import require_own_keys
from capflow_assets.transfer.secrets import FromEnv, first_line

S3 = "s3://"
UNFINISHED = ".part"
# What S3 answers where a file is there that may not be replaced.
EXISTS = ("PreconditionFailed", "ConditionalRequestConflict")
ABSENT = ("NoSuchKey", "404")
MEBIBYTE = 1 << 20
# Times that others may take an unfinished file away: each sender tidies once.
TIDIED = 3
Result = TypeVar("Result")


def unfinished_name(name: str) -> str:
    """Where a file is written until it is whole: a new name each time, so that two senders never share one.

    >>> unfinished_name("manifest.json")[:14], len(unfinished_name("manifest.json"))
    ('manifest.json.', 27)
    """
    return f"{name}.{secrets.token_hex(4)}{UNFINISHED}"


def again_where_taken_away(absent: type[Exception], work: Callable[[], Result]) -> Result:
    """Do ``work`` anew where another sender, who tidies the folder, took its unfinished file away (``absent``)."""
    for _ in range(TIDIED):
        with suppress(absent):
            return work()
    return work()


class Login(BaseModel):
    """Whose bucket it is: what is not said is the process's own (``AWS_*``, a role)."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    region: str | None = Field(default=None, description="The bucket's region.")
    endpoint: Address | None = Field(
        default=None, description="Another address than AWS's, such as https://minio.example.com; with keys of its own."
    )
    access_key: FromEnv | None = Field(default=None, description="The key's id.")
    secret_key: FromEnv | None = Field(default=None, description="The key's secret.")

    @model_validator(mode="after")
    def _keys_of_the_customer(self) -> Self:
        require_own_keys(self.access_key, self.secret_key, self.endpoint)
        return self


class FilePlace(ABC):
    """A folder, here or on a server, or a prefix of a bucket."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  (most have nothing to end)
        """End what is open."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, in the place of one that is there."""

    @abstractmethod
    def write_new(self, name: str, content: bytes) -> bool:
        """Write a file whole where there is none; False where there is one."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none."""

    @abstractmethod
    def names(self, folder: str) -> Mapping[str, int]:
        """The files below a folder and their bytes, whatever tries of ours have left unfinished included."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """Remove an empty folder, where folders are things."""

    @abstractmethod
    def shown(self, name: str) -> str:
        """The file's full name, for people."""


def place_of(location: str, login: Login | None = None) -> FilePlace:
    """The place that a location means.

    Raises:
        DeliveryError: it is neither an absolute folder nor ``s3://``, or this customer may not write there.
    """
    try:
        if location.startswith(S3):
            return Bucket(fence.address(location.rstrip("/"), location), login or Login())
        if not Path(location).is_absolute():
            raise DeliveryError("A destination is no place", expected="an absolute folder, or s3://…", came=location)
        return Folder(fence.real_path(location, location))
    except SourceError as error:
        do = "name a folder of the customer's own, outside of the home and the lake"
        raise DeliveryError("A destination may not be written", came=error.what, where=location, do=do) from error


class Folder(FilePlace):
    """A folder of this machine."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def write(self, name: str, content: bytes) -> None:
        """A file of another name is written, synced and renamed."""
        with self._mended(name):
            again_where_taken_away(FileNotFoundError, lambda: self._write(name, content))

    def write_new(self, name: str, content: bytes) -> bool:
        """A link is made, which fails where the name is taken."""
        with self._mended(name):
            return again_where_taken_away(FileNotFoundError, lambda: self._write_new(name, content))

    def _write(self, name: str, content: bytes) -> None:
        os.replace(self._unfinished(name, content), self._root / name)  # noqa: PTH105

    def _write_new(self, name: str, content: bytes) -> bool:
        unfinished = self._unfinished(name, content)
        try:
            (self._root / name).hardlink_to(unfinished)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink(missing_ok=True)
        return True

    def _unfinished(self, name: str, content: bytes) -> Path:
        path = self._root / unfinished_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return path

    def read(self, name: str) -> bytes | None:
        """What the file holds."""
        with self._mended(name):
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> Mapping[str, int]:
        """All below it, whatever their names."""
        with self._mended(folder):
            return dict(sorted(self._sizes(folder)))

    def _sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        for path in (self._root / folder).rglob("*"):
            with suppress(FileNotFoundError):  # what another sender renamed or removed a moment ago
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    yield path.relative_to(self._root).as_posix(), status.st_size

    def remove(self, name: str) -> None:
        """At once."""
        with self._mended(name):
            (self._root / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        """Where it is there."""
        with self._mended(folder):
            if (self._root / folder).is_dir():
                (self._root / folder).rmdir()

    def shown(self, name: str) -> str:
        """Where it lies."""
        return str(self._root / name)

    @contextmanager
    def _mended(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            received = error.strerror or str(error)
            do = "check that this user may write there, and that there is space"
            raise DeliveryError("A folder cannot be used", came=received, where=self.shown(name), do=do) from error


class Bucket(FilePlace):
    """A prefix of a bucket; credentials and the endpoint are the login's, else the process's."""

    def __init__(self, address: str, login: Login) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, _, prefix = address.removeprefix(S3).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._secrets = [secret.value() for secret in (login.access_key, login.secret_key) if secret]
        key, secret = self._secrets or (None, None)
        self._client: Any = boto3.client(
            "s3",
            region_name=login.region,
            endpoint_url=login.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(connect_timeout=10, read_timeout=120, retries={"total_max_attempts": 4, "mode": "standard"}),
        )

    def write(self, name: str, content: bytes) -> None:
        """In parts of 16 MiB, four at a time, where the file is large."""
        import io

        from boto3.s3.transfer import TransferConfig

        large = TransferConfig(multipart_threshold=64 * MEBIBYTE, multipart_chunksize=16 * MEBIBYTE, max_concurrency=4)
        with self._mended(name):
            self._client.upload_fileobj(io.BytesIO(content), self._bucket, self._prefix + name, Config=large)

    def write_new(self, name: str, content: bytes) -> bool:
        """With ``If-None-Match: *``."""
        try:
            with self._mended(name):
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content, IfNoneMatch="*")
        except _AbsentOrPresent:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """What the file holds."""
        try:
            with self._mended(name):
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
                return bytes(answer["Body"].read())
        except _AbsentOrPresent:
            return None

    def names(self, folder: str) -> Mapping[str, int]:
        """All below it, whatever their names."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._mended(folder):
            return {
                entry["Key"].removeprefix(self._prefix): int(entry["Size"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/")
                for entry in page.get("Contents", ())
            }

    def remove(self, name: str) -> None:
        """At once; some stores say of a file that is not there that it is not."""
        with suppress(_AbsentOrPresent), self._mended(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def remove_folder(self, folder: str) -> None:
        """Nothing: a bucket has no folders."""

    def shown(self, name: str) -> str:
        """Where it lies."""
        return f"{S3}{self._bucket}/{self._prefix}{name}"

    @contextmanager
    def _mended(self, name: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in (*EXISTS, *ABSENT):
                raise _AbsentOrPresent(name) from error
            raise self._error(name, error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._error(name, error) from error

    def _error(self, name: str, error: Exception) -> DeliveryError:
        do = "check the bucket, its region, and what the credentials may do there"
        received = first_line(error, *self._secrets)
        return DeliveryError("A bucket cannot be used", came=received, where=self.shown(name), do=do)


class _AbsentOrPresent(CapflowError):  # noqa: N818  (it is no error)
    """A file is not there that was to be read, or is there where it was to be new."""
