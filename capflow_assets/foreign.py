"""Another library's error in our words, where its kind is known: a full disk, a missing permission, a broken database.

The engine, Delta, Arrow, SQLite and Python each say it in their own way, some in a text only; this is the one place
that knows them.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from capflow_assets.errors import CapflowError, StoreError

# An error of ours as Python shows it below the calls that led to it, with the lines that belong to it.
OURS = re.compile(r"^capflow_assets\.errors\.\w+: (.+(?:\n  .*)*)", re.MULTILINE)
TRACEBACK = "Traceback (most recent call last):"
KEPT = "what is done is kept, and of the rest the last good version stays"


@dataclass(frozen=True, slots=True)
class Kind:
    """What can go wrong below every library, how it is told of, and what a person should do."""

    what: str
    numbers: frozenset[int]
    words: tuple[str, ...]
    do: str


NO_SPACE = Kind(
    "No space is left on the disk",
    frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}),
    ("No space left on device", "(os error 28)", "database or disk is full", "Disk quota exceeded", "File too large"),
    f"free some space, or move the home, the lake or TMPDIR, then run it again: {KEPT}",
)
READ_ONLY = Kind(
    "The disk cannot be written",
    frozenset({errno.EROFS}),
    ("Read-only file system", "(os error 30)", "attempt to write a readonly database"),
    f"mount it so that it can be written, or choose another home or lake, then run it again: {KEPT}",
)
NOT_ALLOWED = Kind(
    "This user may not use a file or folder",
    frozenset({errno.EACCES, errno.EPERM}),
    ("Permission denied", "(os error 13)"),
    f"let this user read and write there (chown, chmod; capflow doctor tries each place), then run it again: {KEPT}",
)
TOO_MANY_FILES = Kind(
    "Too many files are open",
    frozenset({errno.EMFILE, errno.ENFILE}),
    ("Too many open files", "(os error 24)"),
    f"ulimit -n 4096, or LimitNOFILE= of the service, then run it again: {KEPT}",
)
DISK = (NO_SPACE, READ_ONLY, TOO_MANY_FILES)


def kind_of(error: BaseException, kinds: Iterable[Kind]) -> Kind | None:
    """The first of the kinds that an error, or one that led to it, is of.

    >>> kind_of(RuntimeError("Generic LocalFileSystem error: No space left on device (os error 28)"), DISK).what
    'No space is left on the disk'
    >>> kind_of(ValueError("that is no number"), DISK)
    """
    chain = list(causes(error))
    texts = [str(link) for link in chain]
    return next(
        (
            kind
            for kind in kinds
            if any(isinstance(link, OSError) and link.errno in kind.numbers for link in chain)
            or any(word in text for word in kind.words for text in texts)
        ),
        None,
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "orig", None)]


def disk_error(error: BaseException, places: Iterable[str], kinds: Iterable[Kind] = DISK) -> StoreError | None:
    """What to say of an error of the disk, with the room that there is at the ``places``; None for any other error."""
    kind = kind_of(error, kinds)
    if kind is None:
        return None
    files = (link.filename2 or link.filename for link in causes(error) if isinstance(link, OSError))
    named = next((str(file) for file in files if file), "")
    where = ", ".join(_room(places)) if kind is NO_SPACE else named
    return StoreError(kind.what, came=first_words(error), where=where or named, do=kind.do)


def lake_error(error: BaseException, lake: Sequence[str], *, is_source_read: bool = False) -> StoreError | None:
    """What to say of an error met while tables of a lake were computed; None where it is not one of the disk.

    ``lake`` are its folder and what else errors may call it. Where a customer's own source is read as well, a missing
    permission is the lake's only if the error names it.
    """
    is_ours = not is_source_read or any(name in str(link) for link in causes(error) for name in lake)
    return disk_error(error, (lake[0], tempfile.gettempdir()), (*DISK, NOT_ALLOWED) if is_ours else DISK)


def words_of(error: BaseException) -> str:
    """An error as a person is told of it: in its own words if it is ours, in ours if its kind is known."""
    if isinstance(error, CapflowError):
        return str(error)
    known = disk_error(error, (), (*DISK, NOT_ALLOWED))
    return str(known or f"{type(error).__name__}: {error}")


def worker_words(error: BaseException) -> str:
    r"""What an error of ours says that was raised in an engine's worker; blank for any other.

    >>> worker_words(ValueError("Traceback …\ncapflow_assets.errors.SourceError: It is empty.\n  Where: x"))
    'It is empty.\n  Where: x'
    """
    ours = OURS.findall(str(error))
    return str(ours[-1]) if ours else ""


def first_words(error: BaseException) -> str:
    r"""The kind of an error and the first line of what it says; of a worker's error, the line in which it says it.

    >>> first_words(RuntimeError("See below.\nTraceback (most recent call last):\n  File x\nEOFError: cut off\n"))
    'RuntimeError: EOFError: cut off'
    """
    text = str(error)
    last = [line for line in text.rpartition(TRACEBACK)[2].splitlines() if line.strip() and not line[0].isspace()]
    lines = last if TRACEBACK in text and last else [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__


def _room(places: Iterable[str]) -> Iterator[str]:
    """How much is free at each place, once for each disk."""
    disks: set[int] = set()
    for place in places:
        folder = next((parent for parent in (Path(place), *Path(place).parents) if parent.exists()), None)
        if "://" in place or folder is None or folder.stat().st_dev in disks:
            continue
        disks.add(folder.stat().st_dev)
        yield f"{place} ({shutil.disk_usage(folder).free / 1e6:,.1f} MB free)"
