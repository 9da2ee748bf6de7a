"""What every check is given, what it says, and the words that no check may say."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import CapflowError

if TYPE_CHECKING:
    from capflow_assets.deployment import Deployment
    from capflow_assets.home.places import Home

State = Literal["ok", "warning", "broken", "skipped", "mended"]
SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|key(_id)?$", re.IGNORECASE)
IN_URL = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]+(?=@)")
IN_QUERY = re.compile(r"\b(password|passwd|token|secret|sig)=[^&;\s'\"]+", re.IGNORECASE)
SHORTEST_SECRET = 3


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that a check found, and what a person should do about it.

    ``mend`` does it and says what it did, where `capflow doctor --mend` may: doing it twice does no harm, and it raises
    what keeps it from being done.
    """

    state: State
    found: str
    to_do: str = ""
    mend: Callable[[], str] | None = None


Checks = Iterator[Diagnosis]


def ok(words: str) -> Diagnosis:
    """All is well."""
    return Diagnosis("ok", words)


def warning(words: str, to_do: str, mend: Callable[[], str] | None = None) -> Diagnosis:
    """Work goes on, but someone should look."""
    return Diagnosis("warning", words, to_do, mend)


def broken(words: str, to_do: str, mend: Callable[[], str] | None = None) -> Diagnosis:
    """Something will fail."""
    return Diagnosis("broken", words, to_do, mend)


def skipped(words: str) -> Diagnosis:
    """There is nothing to check here."""
    return Diagnosis("skipped", words)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Case:
    """One deployment under examination.

    ``deploy`` reads the code and gives the deployment; it is called by the first check that needs it, so that broken
    code is a finding too. With ``customer``, only that one's file, sources and prefix of the lake are looked at.
    ``connect_seconds`` bounds every connection, ``check_seconds`` each check as a whole.
    """

    home: Home
    deploy: Callable[[], Deployment]
    customer: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    connect_seconds: float = 3
    check_seconds: float = 20
    disk_usage: Callable[[Path], Any] = shutil.disk_usage
    now: Callable[[], datetime] = _now

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment, made once."""
        return self.deploy()

    @property
    def customers(self) -> list[str]:
        """The customer that was named, or all onboarded ones."""
        if self.customer is None:
            return sorted(file.stem for file in self.home.customers.glob("*.toml"))
        self.deployment.require(self.customer)
        return [self.customer]

    @property
    def probed(self) -> str:
        """Where in the lake a probe may be written: below the named customer, whose prefix may be all one can see."""
        return self.home.lake if self.customer is None else self.deployment.lake.prefix(self.customer)

    @property
    def in_bucket(self) -> bool:
        """Whether the lake lies in a bucket."""
        return self.home.lake.startswith("s3://")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def first_line(error: BaseException) -> str:
    """An error in one line, for people.

    >>> first_line(ValueError("no such thing\\nand much more"))
    'no such thing'
    >>> first_line(TimeoutError())
    'TimeoutError'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def message_and_remedy(error: CapflowError) -> tuple[str, str]:
    """The message of one of our errors, and what it says to do.

    >>> message_and_remedy(CapflowError("No such shop", came="'boots'", do="mend the name"))
    ("No such shop. Came: 'boots'", 'mend the name')
    """
    message, _, do = str(error).partition("\n  To do: ")
    return " ".join(message.split()), " ".join(do.split()) or "mend that, then ask again"


def harmless(text: str, environment: Mapping[str, str]) -> str:
    """The text without passwords in URLs and without the values of variables that hold secrets.

    >>> harmless("postgresql://ann:hunter2@db/x refused s3cr3t", {"APP_TOKEN": "s3cr3t"})
    'postgresql://ann:***@db/x refused ***'
    """
    shown = IN_QUERY.sub(r"\1=***", IN_URL.sub(r"\1:***", text))
    for name, value in environment.items():
        if SECRET_NAME.search(name) and len(value) >= SHORTEST_SECRET:
            shown = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", shown)
    return shown
