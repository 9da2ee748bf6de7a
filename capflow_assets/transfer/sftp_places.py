"""A folder of an SFTP server as a place for files: each under ``.part`` until it is whole, then renamed.

The server proves itself by a host key that the options name; no key is taken on trust, and the keys, agents and
settings of the user that runs the platform are not used.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.file_places import TIDIED, FilePlace, unfinished_name
from capflow_assets.transfer.secrets import FromEnv, first_line

Result = TypeVar("Result")
HOST_KEY = r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+( .*)?$"


class SftpLogin(BaseModel):
    """Which server, how it proves itself, and who logs in."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    host: str = Field(min_length=1, description="The server's name or address.")
    port: int = Field(default=22, ge=1, le=65_535, description="Its port.")
    host_keys: tuple[Annotated[str, Field(pattern=HOST_KEY)], ...] = Field(
        min_length=1,
        description="Its public keys, ssh-ed25519 AAAA…: what `ssh-keyscan HOST` prints behind the host.",
    )
    user: str = Field(min_length=1, description="Who logs in.")
    password: FromEnv | None = Field(default=None, description='The password: { env = "NAME" }.')
    private_key: FromEnv | None = Field(default=None, description="Or a private key (OpenSSH's text), likewise.")
    passphrase: FromEnv | None = Field(default=None, description="What opens the private key, likewise.")
    timeout_seconds: float = Field(default=300.0, gt=0, le=3600, description="Longest wait for one file.")


class SftpPlace(FilePlace):
    """A folder of a server; the connection is made at the first use and ends with the ``with`` block."""

    def __init__(self, login: SftpLogin, folder: str) -> None:
        self._login, self._root = login, folder
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._client: Any = None

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.abort()
            with suppress(Exception):
                self._loop.run_until_complete(asyncio.wait_for(self._connection.wait_closed(), 5))
            self._connection = self._client = None
        self._loop.close()

    def write(self, name: str, content: bytes) -> None:
        """Upload under another name, then rename over what is there."""
        self._run(name, self._again_where_taken_away(lambda: self._write(name, content)))

    def write_new(self, name: str, content: bytes) -> bool:
        """Upload under another name, then rename, which fails where the name is taken."""
        return self._run(name, self._again_where_taken_away(lambda: self._write_new(name, content)))

    def read(self, name: str) -> bytes | None:
        """Download the file."""
        return self._run(name, self._read(name))

    def names(self, folder: str) -> Mapping[str, int]:
        """Walk the folder."""
        return self._run(folder, self._names(folder))

    def remove(self, name: str) -> None:
        """Remove the file."""
        self._run(name, self._remove(name))

    def remove_folder(self, folder: str) -> None:
        """Remove the folder where it is there and empty."""
        self._run(folder, self._remove_folder(folder))

    def shown(self, name: str) -> str:
        """As people write it: ``sftp://host/folder/name``."""
        return f"sftp://{self._login.host}/{self._path(name).lstrip('/')}"

    async def _again_where_taken_away(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """As a folder does: another sender, who tidies, may take an unfinished file away."""
        import asyncssh

        for _ in range(TIDIED):
            with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return await work()
        return await work()

    async def _write(self, name: str, content: bytes) -> None:
        import asyncssh

        unfinished = await self._upload(name, content)
        try:
            await self._client.posix_rename(unfinished, self._path(name))
        except asyncssh.SFTPOpUnsupported:
            await self._remove(name)
            await self._client.rename(unfinished, self._path(name))

    async def _write_new(self, name: str, content: bytes) -> bool:
        import asyncssh

        unfinished = await self._upload(name, content)
        try:
            await self._client.rename(unfinished, self._path(name))
        except asyncssh.SFTPError:
            if not await self._client.exists(self._path(name)):
                raise
            await self._client.remove(unfinished)
            return False
        return True

    async def _upload(self, name: str, content: bytes) -> str:
        unfinished = self._path(unfinished_name(name))
        await self._client.makedirs(posixpath.dirname(unfinished), exist_ok=True)
        async with self._client.open(unfinished, "wb") as file:
            await file.write(content)
        return unfinished

    async def _read(self, name: str) -> bytes | None:
        import asyncssh

        try:
            async with self._client.open(self._path(name), "rb") as file:
                return bytes(await file.read())
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None

    async def _names(self, folder: str) -> dict[str, int]:
        import asyncssh

        sizes: dict[str, int] = {}
        waiting = [folder]
        while waiting:
            parent = waiting.pop()
            try:
                entries = [entry async for entry in self._client.scandir(self._path(parent))]
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                continue
            for entry in entries:
                if entry.filename in (".", ".."):
                    continue
                if entry.attrs.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
                    waiting.append(f"{parent}/{entry.filename}")
                else:
                    sizes[f"{parent}/{entry.filename}"] = int(entry.attrs.size or 0)
        return dict(sorted(sizes.items()))

    async def _remove(self, name: str) -> None:
        import asyncssh

        with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            await self._client.remove(self._path(name))

    async def _remove_folder(self, folder: str) -> None:
        import asyncssh

        with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            await self._client.rmdir(self._path(folder))

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)

    def _run(self, name: str, work: Coroutine[Any, Any, Result]) -> Result:
        async def connected() -> Result:
            if self._client is None:
                try:
                    await self._connect()
                except BaseException:
                    work.close()
                    raise
            return await work

        with self._mended(name):
            return self._loop.run_until_complete(asyncio.wait_for(connected(), self._login.timeout_seconds))

    async def _connect(self) -> None:
        import asyncssh

        login = self._login
        passphrase = login.passphrase.value() if login.passphrase else None
        keys = [asyncssh.import_private_key(login.private_key.value(), passphrase)] if login.private_key else None
        self._connection = await asyncssh.connect(
            login.host,
            login.port,
            username=login.user,
            password=login.password.value() if login.password else None,
            client_keys=keys,
            known_hosts=([asyncssh.import_public_key(key) for key in login.host_keys], [], []),
            config=None,
            agent_path=None,
            connect_timeout=login.timeout_seconds,
            login_timeout=login.timeout_seconds,
        )
        self._client = await self._connection.start_sftp_client()

    @contextmanager
    def _mended(self, name: str) -> Iterator[None]:
        import asyncssh

        secrets = [secret.value() for secret in (self._login.password, self._login.passphrase) if secret]
        try:
            yield
        except asyncssh.HostKeyNotVerifiable as error:
            do = "ask the server's owner whether its key was changed, and only then put the new one into host_keys"
            what = "An SFTP server does not have the key that it should have"
            raise DeliveryError(what, where=f"{self._login.host}:{self._login.port}", do=do) from error
        except asyncssh.PermissionDenied as error:
            what, do = "An SFTP server does not accept the credentials", "check the user and its password or key"
            raise DeliveryError(what, came=first_line(error, *secrets), where=self.shown(""), do=do) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            what, do = "A key for SFTP cannot be read", "give the whole text of an OpenSSH key"
            raise DeliveryError(what, came=first_line(error, *secrets), where=self._login.host, do=do) from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            do = "see whether it is up, its disk, and what the user may write there; then run it again"
            received = first_line(error, *secrets)
            raise DeliveryError(
                "An SFTP server cannot be used", came=received, where=self.shown(name), do=do
            ) from error
