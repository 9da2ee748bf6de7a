"""What a lock by name is, who holds one, and where locks are kept."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: what for, by which process, since when. ``token`` tells this holding from any other."""

    purpose: str
    token: str
    host: str
    pid: int
    since: str

    @classmethod
    def here(cls, purpose: str) -> Holder:
        """This process, from now on."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(purpose, uuid.uuid4().hex, socket.gethostname(), os.getpid(), since)

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """The holder that ``text`` tells of; None where it tells of none, or is half written."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def text(self) -> str:
        """What ``parse`` reads."""
        return json.dumps(asdict(self))

    def words(self) -> str:
        """The holder as a person is told of it."""
        since = self.since.replace("T", " ").replace("+00:00", " UTC")
        return f"{self.purpose}, process {self.pid} on {self.host}, since {since}"


class Lock(Protocol):
    """A lock that this process holds."""

    def note(self, holder: Holder | None) -> None:
        """Write beside the lock who holds it, or that nobody does."""

    def is_held(self) -> bool:
        """Whether it is still held: a server may have closed the session that held it."""

    def release(self) -> None:
        """Let others have it."""


class LockStore(Protocol):
    """Locks by name."""

    is_local: bool

    def take(self, name: str) -> Lock | None:
        """The lock, or None where somebody else holds it. A process asks once for each lock that it does not hold."""

    def holder(self, name: str) -> Holder | None:
        """Who is written beside a lock: its holder, or the last one, if that died."""

    def remove(self, name: str) -> None:
        """Leave nothing of a lock that this process holds; its name may be a customer's."""

    def names(self, start: str) -> list[str]:
        """The locks beside which something is written, or was, and whose names start so."""
