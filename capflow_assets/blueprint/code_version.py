"""The version of the code behind stage files: a digest of them and of all modules of the package that they import.

What a file imports is read from its text, and nothing is imported to find out. Imports inside functions count, imports
for type checkers alone do not. A package's ``__init__.py`` that has nothing but imports of the package itself hands
names on: what counts is the module that a name comes from, not the ``__init__.py`` and not its other modules. Files are
read again only where they have changed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
EVERYTHING = "*"
# Where statements stand in others.
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
# The place of a module, or of a name in one, in the package.
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """One file: the digest of its text, what it imports of the package, and the names that it hands on, where it does
    nothing else.
    """

    digest: str
    imports: tuple[Place, ...]
    handed_on: Mapping[str, Place] | None


def code_digest(*files: Path, package: Path = PACKAGE) -> str:
    """The digest of modules' files and of all modules of the package that they import, directly or through others.

    It is the same wherever the package lies, and in whichever order the files are named.
    """
    digest = hashlib.sha256()
    for name, path in sorted(code_files(*files, package=package).items()):
        digest.update(f"{name} {_source(path, package).digest}\n".encode())
    return digest.hexdigest()


def code_files(*files: Path, package: Path = PACKAGE) -> dict[str, Path]:
    """The files that a digest covers, by their place in the package; files outside of it by their names.

    >>> [name for name in code_files(PACKAGE / "errors.py")]
    ['errors.py']
    """
    covered: dict[str, Path] = {}
    waiting = [file.resolve() for file in files]
    root = package.resolve()
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        if name not in covered:
            covered[name] = path
            waiting += [file for place in _source(path, root).imports for file in _files(place, root)]
    return covered


def _files(place: Place, package: Path) -> Iterator[Path]:
    """The files that matter where a module, or a name of one, is imported: its own, and those of the packages that it
    lies in, where they do more than hand names on.
    """
    for depth in range(len(place) + 1):
        path = package.joinpath(*place[:depth])
        if depth and path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
        init = path / "__init__.py"
        if not init.is_file():
            continue
        handed_on = _source(init, package).handed_on
        if handed_on is None or place[depth:] in ((), (EVERYTHING,)):
            yield init
        elif place[depth] in handed_on:
            yield from _files(handed_on[place[depth]], package)


def _source(path: Path, package: Path) -> _Source:
    stat = path.stat()
    return _read(path, package.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read(path: Path, package: Path, _changed_at: int, _size: int) -> _Source:
    text = path.read_bytes()
    tree = ast.parse(text, path)
    imports = (place for node in _statements(tree) for _, place in _imported(node, path, package))
    handed_on = _handed_on(tree, path, package) if path.name == "__init__.py" else None
    return _Source(hashlib.sha256(text).hexdigest(), tuple(dict.fromkeys(imports)), handed_on)


def _handed_on(tree: ast.Module, path: Path, package: Path) -> Mapping[str, Place] | None:
    """The names that a module imports from the package, where it does nothing else; else None."""
    names: dict[str, Place] = {}
    for node in tree.body:
        if _is_silent(node):
            continue
        imported = dict(_imported(node, path, package)) if isinstance(node, ast.ImportFrom) else {}
        if not imported or EVERYTHING in imported:
            return None
        names |= imported
    return names


def _is_silent(node: ast.stmt) -> bool:
    """Whether a statement does nothing: a docstring, ``__all__``, or an import from ``__future__``."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)] == ["__all__"]
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements of a module, however deep, but those that only a type checker reads."""
    for block in BLOCKS:
        for child in getattr(node, block, ()):
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                yield from _statements(ast.Module(child.orelse, []))
                continue
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _imported(node: ast.AST, path: Path, package: Path) -> Iterator[tuple[str, Place]]:
    """What an import names of the package, each with its place; the last part may be a name in a module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            root, *place = alias.name.split(".")
            if root == package.name:
                yield alias.asname or root, tuple(place)
    elif isinstance(node, ast.ImportFrom):
        named = node.module.split(".") if node.module else []
        if node.level:
            folder = path.parents[node.level - 1]
            if not folder.is_relative_to(package):
                return
            named = [package.name, *folder.relative_to(package).parts, *named]
        if named[0] == package.name:
            for alias in node.names:
                yield alias.asname or alias.name, (*named[1:], alias.name)
