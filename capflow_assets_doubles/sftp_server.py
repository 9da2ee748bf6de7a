"""A real SFTP server in a thread of this process, with a host key, two users' ways to log in, and a folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh


@dataclass(frozen=True)
class Server:
    """How it is reached and proves itself."""

    port: int
    host_key: str
    private_key: str


class _Users(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("boots", "planted password")


@contextmanager
def sftp_server(folder: Path) -> Iterator[Server]:
    """A server whose root is ``folder``: user ``boots`` comes in with a password or a key."""
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    trusted = folder.parent / f"{folder.name}.keys"
    trusted.write_bytes(user_key.export_public_key())
    loop = asyncio.new_event_loop()

    def jail(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(folder).encode())

    async def start() -> Any:
        return await asyncssh.create_server(
            _Users, "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=str(trusted), sftp_factory=jail
        )

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        public = " ".join(host_key.export_public_key().decode().split()[:2])
        yield Server(acceptor.get_port(), public, user_key.export_private_key().decode())
    finally:
        asyncio.run_coroutine_threadsafe(_stop(acceptor), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(acceptor: Any) -> None:
    acceptor.close()
    await acceptor.wait_closed()
    await asyncio.sleep(0.05)
