"""Stands in for FUSE: Python's file functions find ``/Volumes`` and ``/dbfs`` in the workspace's storage.

A real runtime mounts both into the file system, which takes rights that a test does not have. So the functions that
take paths are wrapped, in every Python of the runtime. The mounts' real limits hold: a file appears when it is closed,
what is written is written from front to back, and a volume takes no appending. Code below Python (Arrow, Java) does
not see the mounts.
"""

from __future__ import annotations

import builtins
import errno
import functools
import io
import json
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any
from zipimport import zipimporter

ONE_PATH = (
    "access chdir chmod chown listdir lstat mkdir readlink remove rmdir scandir stat statvfs truncate unlink utime"
)
TWO_PATHS = "link rename replace symlink"


@dataclass(frozen=True)
class Mount:
    """A path that is shown, the folder behind it, and which of its folders the run may see."""

    shown: str
    folder: str
    uploads: str
    appends: bool
    allowed: tuple[str, ...]


class Mounts:
    """Maps shown paths to real ones."""

    def __init__(self, mounts: list[Mount]) -> None:
        self._mounts = mounts

    def of(self, path: Any) -> Mount | None:
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path)
        if not isinstance(text, str) or not text.startswith(("/dbfs", "/Volumes")):
            return None
        text = os.path.normpath(text)
        return next(
            (mount for mount in self._mounts if text == mount.shown or text.startswith(mount.shown + "/")), None
        )

    def real(self, path: Any) -> Any:
        mount = self.of(path)
        if mount is None:
            return path
        text = os.path.normpath(os.fspath(path))
        if not any(text.startswith(prefix) or prefix.startswith(text) for prefix in mount.allowed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), text)
        return mount.folder + text[len(mount.shown) :]


class Upload(io.FileIO):
    """A file being written: to the storage when closed, and only from front to back."""

    def __init__(self, shown: str, place: str, uploads: str) -> None:
        if not Path(place).parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown)
        if Path(place).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), shown)
        self._place, self._draft = place, f"{uploads}/{uuid.uuid4()}"
        super().__init__(self._draft, "xb")
        self.name = shown

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        now = self.tell()
        if {os.SEEK_SET: offset, os.SEEK_CUR: now + offset, os.SEEK_END: now + offset}[whence] != now:
            raise _unsupported(str(self.name))
        return now

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.replace(self._draft, self._place)  # noqa: PTH105 - the plain call, before any wrapping


def install(mounts: list[Mount]) -> None:
    """Wrap the file functions of this process."""
    table = Mounts(mounts)
    for name in ONE_PATH.split():
        setattr(os, name, _wrapped(getattr(os, name), table, 1))
    for name in TWO_PATHS.split():
        setattr(os, name, _wrapped(getattr(os, name), table, 2))
    os.open = _os_open(os.open, table)
    builtins.open = io.open = _open(io.open, table)
    sys.path_hooks.insert(0, functools.partial(_import_from, table))


def _wrapped(plain: Callable[..., Any], table: Mounts, paths: int) -> Callable[..., Any]:
    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        mapped = (*(table.real(arg) for arg in args[:paths]), *args[paths:])
        named = {key: table.real(value) if key in ("path", "src", "dst") else value for key, value in kwargs.items()}
        return plain(*mapped, **named)

    for able in (os.supports_dir_fd, os.supports_effective_ids, os.supports_fd, os.supports_follow_symlinks):
        if plain in able:
            able.add(call)
    return call


def _os_open(plain: Callable[..., int], table: Mounts) -> Callable[..., int]:
    @functools.wraps(plain)
    def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_APPEND | os.O_RDWR) and table.of(path):
            raise _unsupported(os.fspath(path))
        return plain(table.real(path), flags, *args, **kwargs)

    return call


def _open(plain: Callable[..., Any], table: Mounts) -> Callable[..., Any]:
    @functools.wraps(plain)
    def call(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        mount = table.of(file)
        if mount is None:
            return plain(file, mode, buffering, *args, **kwargs)
        place, shown = table.real(file), os.fspath(file)
        if "+" in mode or ("a" in mode and not mount.appends):
            raise _unsupported(shown)
        if mode.strip("bt") in ("r", "a"):
            return plain(place, mode, buffering, *args, **kwargs)
        if "x" in mode and Path(place).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), shown)
        raw = Upload(shown, place, mount.uploads)
        if "b" in mode:
            return raw if buffering == 0 else io.BufferedWriter(raw)
        return io.TextIOWrapper(io.BufferedWriter(raw), *args, **kwargs)

    return call


def _import_from(table: Mounts, entry: str) -> Any:
    """Lets ``sys.path`` name a folder or an archive of a mount."""
    if table.of(entry) is None:
        raise ImportError(entry)
    place = table.real(entry)
    return FileFinder(place, (SourceFileLoader, SOURCE_SUFFIXES)) if Path(place).is_dir() else zipimporter(place)


def _unsupported(path: str) -> OSError:
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)


def from_file(file: Path) -> None:
    """Install what the runtime's own file lists."""
    install([Mount(**{**fields, "allowed": tuple(fields["allowed"])}) for fields in json.loads(file.read_text())])


if (_listed := Path(sys.prefix) / "mounts.json").exists():
    from_file(_listed)
