"""The version of the code behind stage files: a digest of them and of all modules of the package that they import.

What a file imports is read from its text (``source_files``), and nothing is imported to find out. Imports inside
functions count, imports for type checkers alone do not. A package's ``__init__.py`` that has nothing but imports of the
package itself hands names on: what counts is the module that a name comes from, not the ``__init__.py`` and not its
other modules. Files are read again only where they have changed (``source_index``). A package that is imported from an
archive, as a wheel on a cluster is, is unpacked to be read.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from zipfile import ZipFile

from capflow_assets.blueprint.source_files import EVERYTHING, Place, SourceFile, read_source
from capflow_assets.blueprint.source_index import SourceIndex

PACKAGE = Path(__file__).parents[1]


def code_digest(*files: Path, package: Path = PACKAGE) -> str:
    """The digest of modules' files and of all modules of the package that they import, directly or through others.

    It is the same wherever the package lies, and in whichever order the files are named.
    """
    return _Look(package).digest(files)


def code_digests(groups: Mapping[str, Iterable[Path]], package: Path = PACKAGE) -> dict[str, str]:
    """The digest of each group of files, as ``code_digest`` has it, from one look at all of them.

    What was parsed is kept for processes to come, beside what Python keeps for itself.
    """
    look = _Look(package)
    named = {name: tuple(files) for name, files in groups.items()}
    # A model's training, answers and health are of one file, and all deliveries of the same ones.
    digests = {files: look.digest(files) for files in dict.fromkeys(named.values())}
    _index(look.package).keep(look.sources)
    return {name: digests[files] for name, files in named.items()}


def code_files(*files: Path, package: Path = PACKAGE) -> dict[str, Path]:
    """The files that a digest covers, by their place in the package; files outside of it by their names.

    >>> [name for name in code_files(PACKAGE / "errors.py")]
    ['errors.py']
    """
    look = _Look(package)
    return {look.name(path): path for path in look.covered(files)}


class _Look:
    """One look at a package's files: each is asked once whether it has changed, however many digests it is part of."""

    def __init__(self, package: Path) -> None:
        self._is_packed = not package.is_dir()
        self.package = self._on_disk(package)
        self.sources: dict[Path, SourceFile] = {}
        self._files: dict[Place, tuple[Path, ...]] = {}
        self._places: dict[Place, tuple[Path | None, Path | None]] = {}
        self._names: dict[Path, str] = {}

    def digest(self, files: Iterable[Path]) -> str:
        digest = hashlib.sha256()
        for name, path in sorted((self.name(path), path) for path in self.covered(files)):
            digest.update(f"{name} {self._source(path).digest}\n".encode())
        return digest.hexdigest()

    def covered(self, files: Iterable[Path]) -> dict[Path, None]:
        """The files and all that they import of the package, in the order in which they are met."""
        covered: dict[Path, None] = {}
        waiting = [self._on_disk(file) for file in files]
        while waiting:
            path = waiting.pop()
            if path not in covered:
                covered[path] = None
                waiting += [file for place in self._source(path).imports for file in self._of(place)]
        return covered

    def name(self, path: Path) -> str:
        if path not in self._names:
            is_inside = path.is_relative_to(self.package)
            self._names[path] = path.relative_to(self.package).as_posix() if is_inside else path.name
        return self._names[path]

    def _on_disk(self, path: Path) -> Path:
        """A file or folder, or what was unpacked of it where it lies in an archive."""
        archive = next((parent for parent in path.parents if parent.is_file()), None) if self._is_packed else None
        return (_unpacked(archive) / path.relative_to(archive) if archive else path).resolve()

    def _source(self, path: Path) -> SourceFile:
        if path not in self.sources:
            stat = path.stat()
            self.sources[path] = _read(path, self.package, stat.st_mtime_ns, stat.st_size)
        return self.sources[path]

    def _of(self, place: Place) -> tuple[Path, ...]:
        if place not in self._files:
            self._files[place] = tuple(self._found(place))
        return self._files[place]

    def _found(self, place: Place) -> Iterator[Path]:
        """The files that matter where a module, or a name of one, is imported: its own, and those of the packages that
        it lies in, where they do more than hand names on.
        """
        for depth in range(len(place) + 1):
            module, init = self._at(place[:depth])
            if module is not None:
                yield module
            if init is None:
                continue
            handed_on = self._source(init).handed_on
            if handed_on is None or place[depth:] in ((), (EVERYTHING,)):
                yield init
            elif place[depth] in handed_on:
                yield from self._of(handed_on[place[depth]])

    def _at(self, place: Place) -> tuple[Path | None, Path | None]:
        """The file of a module, and the ``__init__.py`` of a package, where there are such."""
        if place not in self._places:
            path = self.package.joinpath(*place)
            module, init = path.with_suffix(".py"), path / "__init__.py"
            self._places[place] = module if place and module.is_file() else None, init if init.is_file() else None
        return self._places[place]


@cache
def _unpacked(archive: Path) -> Path:
    """A folder with the sources of an archive, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="capflow-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with ZipFile(archive) as file:
        file.extractall(folder, [name for name in file.namelist() if name.endswith(".py")])
    return folder


@lru_cache(maxsize=2048)
def _read(path: Path, package: Path, changed_at: int, size: int) -> SourceFile:
    return _index(package).source(path, changed_at, size) or read_source(path, package, changed_at, size)


@lru_cache(maxsize=8)
def _index(package: Path) -> SourceIndex:
    return SourceIndex(package)
