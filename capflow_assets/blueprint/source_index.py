"""What was read of a package's source files, kept from one process to the next where Python keeps compiled modules.

Parsing all of them takes a third of a second, and every process that loads the graph would do it. As with compiled
modules, time of change and size say whether a file is still the one that was read; what cannot be kept is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from functools import cached_property
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from capflow_assets.blueprint import source_files
from capflow_assets.blueprint.source_files import SourceFile

SECOND_NS = 1_000_000_000


class SourceIndex:
    """The kept sources of one package."""

    def __init__(self, package: Path) -> None:
        self._package = package

    @property
    def file(self) -> Path:
        """Where they are kept."""
        return Path(cache_from_source(str(self._package / "__init__.py"))).with_name("source_index.json")

    def source(self, path: Path, changed_at: int, size: int) -> SourceFile | None:
        """A file as it was read, where it has not changed since; ``changed_at`` in nanoseconds."""
        entry = self._entries.get(self._name(path))
        if entry is None or entry[1] != size or not _is_same_time(entry[0], changed_at):
            return None
        _, _, digest, imports, handed_on = entry
        names = None if handed_on is None else {name: tuple(place) for name, place in handed_on.items()}
        return SourceFile(changed_at, size, digest, tuple(map(tuple, imports)), names)

    def keep(self, sources: Mapping[Path, SourceFile]) -> None:
        """Keep files of the package as they were read, where any is news and Python may write there too."""
        read = {name: source for path, source in sources.items() if (name := self._name(path))}
        is_known = all(self._is_known(name, source) for name, source in read.items())
        if sys.dont_write_bytecode or is_known:
            return
        entries = {name: list(astuple(source)) for name, source in read.items()}
        with suppress(OSError):  # a package that nobody may write to is read anew each time
            self._write({**self._entries, **entries})

    def _is_known(self, name: str, source: SourceFile) -> bool:
        entry = self._entries.get(name)
        return (
            entry is not None
            and entry[1:3] == [source.size, source.digest]
            and _is_same_time(entry[0], source.changed_at)
        )

    def _write(self, entries: Mapping[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        partial.write_text(json.dumps({"reader": _reader(), "files": entries}), encoding="utf-8")
        partial.replace(self.file)

    @cached_property
    def _entries(self) -> Mapping[str, Any]:
        with suppress(OSError, ValueError, KeyError, TypeError):  # a damaged file is none
            content = json.loads(self.file.read_bytes())
            if content["reader"] == _reader():
                return dict(content["files"])
        return {}

    def _name(self, path: Path) -> str:
        """The file's place in the package; nothing for one outside of it."""
        root, file = f"{self._package}{os.sep}", str(path)
        return file.removeprefix(root) if file.startswith(root) else ""


def _is_same_time(then_ns: int, now_ns: int) -> bool:
    """Whether two times of change are one; images of containers keep whole seconds."""
    return then_ns == now_ns or (now_ns % SECOND_NS == 0 and then_ns // SECOND_NS == now_ns // SECOND_NS)


def _reader() -> str:
    """The version of the code that reads files: what another one read is not looked at."""
    return hashlib.sha256(Path(source_files.__file__).read_bytes()).hexdigest()
