"""What a customer's sources may open: each file is resolved and judged when it is opened, whatever its location says.

Where a location leads is only known from the disk: through links of files and of folders on the way, ``..``, patterns,
``/proc``. So every file is resolved to its real path; that is judged; and that path is opened without following any
link, so that what was judged is what is read, also if somebody swaps a link meanwhile. Sources ask ``current()``, which
landing sets; by themselves (in a notebook, say) sources are only kept from pipes, devices and the kernel's own files.

Does not belong here: where a deployment keeps what (``home.fences``). It knows neither home nor customers' TOMLs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import unquote

from capflow_assets.errors import SourceError, listed

S3 = "s3://"
SYSTEM = ("/proc", "/sys", "/dev")
SHARED_MEMORY = "/dev/shm"  # noqa: S108  (a file system like others)
CERTIFICATES = ("/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Names that S3 gives to access points: which bucket they lead to cannot be told from them.
ALIASES = ("-s3alias", "--ol-s3", "--x-s3")
DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112
EXPECTED = "files of this customer, outside of what CapFlow keeps: that may be another customer's"
OWN = "export the rows to a place of the customer's own"


@dataclass(frozen=True, slots=True)
class Place:
    """Where another customer's files lie: below a real ``folder`` (or the file itself), those that fit ``pattern``."""

    folder: str
    pattern: str = ""

    def holds(self, path: str) -> bool:
        """Whether a file, by its real path or address, is of this place."""
        if not self.pattern:
            return is_below(path, self.folder)
        parts = PurePosixPath(path).parts[len(PurePosixPath(self.folder).parts) :]
        patterns = PurePosixPath(self.pattern).parts
        return is_below(path, self.folder) and all(map(fnmatchcase, parts, patterns)) and len(parts) >= len(patterns)


@dataclass(frozen=True)
class Fence:
    """What one customer may open. ``roots`` empty: the folders that its own TOML names, ``base`` among them.

    ``kept`` is what the deployment keeps, by real path or ``s3://`` address; ``theirs`` are other customers' places.
    ``databases`` are the addresses of the deployment's own, without credentials.
    """

    roots: Sequence[str] = ()
    base: str = ""
    kept: Sequence[str] = ()
    theirs: Sequence[Place] = ()
    databases: Sequence[str] = ()
    free: Sequence[str] = ()
    _roots_of: dict[str, Sequence[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_folder: Mapping[str, list[Place]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_folder: dict[str, list[Place]] = {}
        for place in self.theirs:
            by_folder.setdefault(place.folder, []).append(place)
        object.__setattr__(self, "_by_folder", by_folder)

    def refuse(self, path: str, location: str) -> None:
        """Refuse a file or folder by its real path or address.

        Raises:
            SourceError: it is what the deployment keeps, another customer's, or outside of what this one may read.
        """
        if any(is_below(path, kept) for kept in self.kept):
            raise _refusal("that is kept by CapFlow", location)
        if any(place.holds(path) for folder in above(path) for place in self._by_folder.get(folder, ())):
            raise _refusal("that is another customer's", location)
        if not self.is_within(path, location):
            if self.roots:
                expected = f"files below {listed(self.roots)}"
                do = "export the rows to one of these, or have their folder named in [sources] roots of capflow.toml"
                raise _refusal("that is outside of the customer's folders", location, expected, do)
            do = "take out the link, name the real folder as the location, or have it named in [sources] roots of the"
            raise _refusal("a link leads out of the folder", location, do=f"{do} deployment's capflow.toml")

    def is_within(self, path: str, location: str) -> bool:
        """Whether a real path or an address lies below the folders that a location may lead to."""
        if location not in self._roots_of:
            self._roots_of[location] = self._allowed(location)
        return any(is_below(path, root) for root in self._roots_of[location])

    def _allowed(self, location: str) -> Sequence[str]:
        if location.startswith(S3):
            return [root for root in self.roots if root.startswith(S3)] if self.roots else [S3]
        if self.roots:
            return (*self.roots, *self.free)
        fixed = fixed_part(location)
        folder, parent = os.path.realpath(fixed), os.path.realpath(os.path.dirname(fixed))  # noqa: PTH120
        own = [self.base] if self.base else []
        is_own = any(is_below(folder, allowed) for allowed in (parent, *own))
        return (*own, *self.free, *([folder] if is_own else []))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or lies in it.

    >>> is_below("/data/boots/a.csv", "/data/boots"), is_below("/data/boots2", "/data/boots"), is_below("s3://b/x", "s3://")
    (True, False, True)
    """
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def above(path: str) -> list[str]:
    """A path or address and all folders that it lies in.

    >>> above("/in/a.csv"), above("s3://exports/in/a.csv")
    (['/in/a.csv', '/in', '/'], ['s3://exports/in/a.csv', 's3://exports/in', 's3://exports'])
    """
    scheme = S3 if path.startswith(S3) else ""
    inner = PurePosixPath(path.removeprefix(scheme))
    return [f"{scheme}{folder}" for folder in (inner, *inner.parents) if str(folder) != "."]


_current: ContextVar[Fence | None] = ContextVar("fence", default=None)


def current() -> Fence | None:
    """The fence of the customer whose sources are being opened; None where nobody set one."""
    return _current.get()


@contextmanager
def within(fence: Fence | None) -> Iterator[None]:
    """What is opened meanwhile, in this thread, is judged by ``paths.fence``."""
    token = _current.set(fence)
    try:
        yield
    finally:
        _current.reset(token)


def real_path(path: str, location: str) -> str:
    """The real path of a local file or folder that may be opened; no part of it is a link.

    Raises:
        SourceError: it is of the system, a pipe or a device, or the fence does not let it be opened.
    """
    try:
        real = os.path.realpath(path)
        mode = os.stat(real).st_mode if os.path.exists(real) else stat.S_IFREG  # noqa: PTH110, PTH116
    except (OSError, ValueError) as error:
        raise SourceError("A file cannot be opened", came=str(error), where=location) from error
    lies_in_system = any(is_below(spelling, folder) for spelling in (real, _plain(path)) for folder in SYSTEM)
    if lies_in_system and not is_below(real, SHARED_MEMORY):
        raise _refusal("that is the system's", location)
    if real == "/":
        raise _refusal("that is the whole disk", location)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _no_file(path)
    if fence := current():
        fence.refuse(real, location)
    return real


def address(place: str, location: str) -> str:
    """An ``s3://`` address that may be opened, as it is; judged in every spelling that a reader may make of it.

    Raises:
        SourceError: it is no plain address, or the fence does not let it be opened.
    """
    fence = current()
    for plain in spellings(place) if fence else ():
        bucket = plain.removeprefix(S3).partition("/")[0]
        is_alias = bucket.endswith(ALIASES) and any(kept.startswith(S3) for kept in fence.kept) if fence else False
        if not BUCKET.fullmatch(bucket) or is_alias or ".." in plain.split("/"):
            raise _refusal(
                "a bucket whose name does not tell whose it is", location, "s3://bucket/key, plainly written"
            )
        if fence:
            fence.refuse(plain, location)
    return place


def spellings(place: str) -> set[str]:
    """The addresses that readers may take an ``s3://`` address for: as it is, or decoded; blank parts are left out.

    >>> sorted(spellings("s3://b//%6cake/./x"))
    ['s3://b/%6cake/x', 's3://b/lake/x']
    """
    rest = place[len(S3) :]
    decoded = {rest, unquote(rest), unquote(unquote(rest))}
    decoded |= {re.split("[?#]", text)[0] for text in decoded}
    return {S3 + "/".join(part for part in text.split("/") if part not in ("", ".")) for text in decoded}


def certificate(path: str | None) -> str | None:
    """The real path of a file of certificates that a customer names; the system's own are free.

    Raises:
        SourceError: as `real_path`.
    """
    if path is None:
        return None
    real = os.path.realpath(path)
    fence = current()
    is_systems = any(is_below(real, folder) for folder in CERTIFICATES)
    return real if is_systems or fence is None else real_path(path, path)


def open_real(path: str) -> int:
    """A descriptor of a file by its real path, for reading; no part of the path may be a link.

    Raises:
        SourceError: a part of it is a link, or it is no plain file: it was changed since it was judged.
        OSError: it cannot be opened.
    """
    search = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    first, *folders, name = PurePosixPath(path).parts
    here = os.open(first, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            there = os.open(folder, search, dir_fd=here)
            os.close(here)
            here = there
        # A pipe that nobody writes to would be waited for.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    except OSError as error:
        if os.path.realpath(path) != path:
            do = "run again; if it stays so, see who writes to that folder"
            raise SourceError("A file has become a link since it was looked at", where=path, do=do) from error
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise _no_file(path)
    return opened


@contextmanager
def opened(path: str) -> Iterator[str]:
    """A file, given by its real path, under a name that nobody can lead elsewhere: that of an open descriptor."""
    descriptor = open_real(path)
    try:
        yield f"{DESCRIPTORS}/{descriptor}"
    finally:
        os.close(descriptor)


def fixed_part(location: str) -> str:
    """What stands before the first pattern of a path.

    >>> fixed_part("/in/2024-*/bills.csv"), fixed_part("/in/bills.csv")
    ('/in', '/in/bills.csv')
    """
    parts = PurePosixPath(location).parts
    wild = next((place for place, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return str(PurePosixPath(*parts[:wild]))


def _plain(path: str) -> str:
    return os.path.normpath(os.path.abspath(path))  # noqa: PTH100


def _refusal(received: str, location: str, expected: str = EXPECTED, do: str = OWN) -> SourceError:
    return SourceError("A source may not read that", expected=expected, came=received, where=location, do=do)


def _no_file(path: str) -> SourceError:
    return SourceError("That is no file", expected="a plain file", came="a pipe, a socket or a device", where=path)
