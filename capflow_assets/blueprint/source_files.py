"""What one source file imports of a package, read from its text: nothing is imported to find out."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

EVERYTHING = "*"
# Where statements stand in others.
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
# The place of a module, or of a name in one, in the package.
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was when it was read: time of change in nanoseconds, bytes, the digest of its text, what it
    imports of the package, and the names that it hands on, where it does nothing else.
    """

    changed_at: int
    size: int
    digest: str
    imports: tuple[Place, ...]
    handed_on: Mapping[str, Place] | None


def read_source(path: Path, package: Path, changed_at: int, size: int) -> SourceFile:
    """A file, read and parsed; when it was changed and its size are from before.

    Raises:
        SyntaxError: it is not Python.
    """
    text = path.read_bytes()
    tree = ast.parse(text, path)
    imports = (place for node in _statements(tree) for _, place in _imported(node, path, package))
    handed_on = _handed_on(tree, path, package) if path.name == "__init__.py" else None
    digest = hashlib.sha256(text).hexdigest()
    return SourceFile(changed_at, size, digest, tuple(dict.fromkeys(imports)), handed_on)


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
