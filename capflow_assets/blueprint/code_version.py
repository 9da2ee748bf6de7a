"""The version of the code behind a stage file: a digest of the file and of all modules of the package that it imports.

What a file imports is read from its text, and nothing is imported to find out. Imports inside functions count, imports
for type checkers alone do not. Files are read again only where they have changed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class _Source:
    """One file: the digest of its text, and the files of the package that it imports."""

    digest: str
    imports: tuple[Path, ...]


def code_digest(file: Path, package: Path = PACKAGE) -> str:
    """The digest of a module's file and of all modules of the package that it imports, directly or through others.

    It is the same wherever the package lies.
    """
    digest = hashlib.sha256()
    for name, path in sorted(code_files(file, package).items()):
        digest.update(f"{name} {_source(path, package).digest}\n".encode())
    return digest.hexdigest()


def code_files(file: Path, package: Path = PACKAGE) -> dict[str, Path]:
    """The files that a digest covers, by their place in the package; a file outside of it by its name.

    >>> [name for name in code_files(PACKAGE / "errors.py")]
    ['errors.py']
    """
    files: dict[str, Path] = {}
    waiting = [file.resolve()]
    root = package.resolve()
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        if name not in files:
            files[name] = path
            waiting += _source(path, root).imports
    return files


def _source(path: Path, package: Path) -> _Source:
    stat = path.stat()
    return _read(path, package.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read(path: Path, package: Path, _changed_at: int, _size: int) -> _Source:
    text = path.read_bytes()
    imports = (
        file
        for node in _run_nodes(ast.parse(text, path))
        for module in _modules(node, path, package)
        for file in _files(module, package)
    )
    return _Source(hashlib.sha256(text).hexdigest(), tuple(dict.fromkeys(imports)))


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a module but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _run_nodes(ast.Module(node.orelse, []))
        else:
            yield node
            yield from _run_nodes(node)


def _modules(node: ast.AST, path: Path, package: Path) -> Iterator[tuple[str, ...]]:
    """What an import names of the package, as places in it; what follows the last module there may be no module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root, *place = alias.name.split(".")
            if root == package.name:
                yield tuple(place)
    elif isinstance(node, ast.ImportFrom):
        named = node.module.split(".") if node.module else []
        if node.level:
            folder = path.parents[node.level - 1]
            if not folder.is_relative_to(package):
                return
            named = [package.name, *folder.relative_to(package).parts, *named]
        if named[0] == package.name:
            for alias in node.names:
                yield (*named[1:], alias.name)


def _files(module: tuple[str, ...], package: Path) -> Iterator[Path]:
    """The files that run where a module is imported: those of the packages that it lies in, and its own."""
    for depth in range(len(module) + 1):
        place = package.joinpath(*module[:depth])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file() and (depth or file.parent == package):
                yield file
