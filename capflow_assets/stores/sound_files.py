"""Files of models that were read and found whole, remembered by what the file system says of them.

To read, hash and look through the files of thousands of champions takes minutes. A file that has the same place, size,
inode and times of change as when it was found whole is the same file: the time of a change of its inode cannot be set
by those who write there. That is enough to say who would answer; whatever is loaded is held against its digest each
time. The memory is a file of digests that name nobody, beside the customers' folders and not below them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from stat import S_ISLNK

from capflow_assets.home.places import Home, write_if_changed

FILE = "sound_models.txt"
# A change within the same tick of the file system's clock as the reading cannot be told from it.
SETTLED_NS = 2_000_000_000


@dataclass(slots=True)
class SoundFiles:
    """The memory of one home: signs of files that were whole, and those that were met since it was read."""

    home: Home
    signs: frozenset[str] = frozenset()
    met: set[str] = field(default_factory=set)
    _real: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Home) -> SoundFiles:
        """The memory as the home keeps it; an empty one where there is none, or where it cannot be read."""
        with suppress(OSError, ValueError):
            return cls(home, frozenset((home.root / FILE).read_text(encoding="ascii").split()))
        return cls(home)

    def sign(self, files: Mapping[str, tuple[str, str | None]], types: Iterable[str]) -> str | None:
        """What tells these files, where they are whole for an estimator of these types, from any others.

        ``files`` is as ``Registry.paths`` gives it. None where nothing tells: in a bucket, for files that are missing,
        that were changed only now, or that lie behind a symbolic link.
        """
        if "://" in self.home.lake:
            return None
        parts: list[object] = [sorted(types)]
        newest = 0
        for name, (path, digest) in sorted(files.items()):
            place = f"{self.home.lake}/{path}"
            try:
                state = os.lstat(place)
            except OSError:
                return None
            if not self._is_real(place.rpartition("/")[0]):
                return None
            newest = max(newest, state.st_mtime_ns, state.st_ctime_ns)
            parts.append((name, path, digest, state.st_dev, state.st_ino, state.st_mode, state.st_size))
            parts.append((state.st_mtime_ns, state.st_ctime_ns))
        if time.time_ns() - newest < SETTLED_NS:
            return None
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def has(self, sign: str | None) -> bool:
        """Whether files of this sign were found whole."""
        if sign is None or (sign not in self.signs and sign not in self.met):
            return False
        self.met.add(sign)
        return True

    def add(self, sign: str | None) -> None:
        """Remember that files of this sign are whole."""
        if sign is not None:
            self.met.add(sign)

    def save(self, *, is_complete: bool) -> None:
        """Keep what was met, and nothing else where all files of the home were looked at.

        A home that cannot be written keeps what it has; one with nothing to remember gets no file.
        """
        signs = self.met if is_complete else self.signs | self.met
        if signs == self.signs:
            return
        with suppress(OSError):
            write_if_changed(self.home.root / FILE, "\n".join(sorted(signs)))

    def _is_real(self, folder: str) -> bool:
        """Whether no part of a path below the lake is a symbolic link."""
        if folder == self.home.lake:
            return True
        if folder not in self._real:
            self._real[folder] = not S_ISLNK(os.lstat(folder).st_mode) and self._is_real(folder.rpartition("/")[0])
        return self._real[folder]
