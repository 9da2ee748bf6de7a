"""The kinds of store that a package declares, held against the contract when they are read."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import cast

from pydantic import BaseModel

from capflow_assets.contract import (
    ChecksLocations,
    FindsRows,
    HasFiles,
    LabelsRows,
    ReadsAtAGlance,
    ReadsNewerRows,
    Source,
)
from capflow_assets.errors import GraphError, listed

ABILITIES = (ChecksLocations, ReadsNewerRows, ReadsAtAGlance, HasFiles, LabelsRows, FindsRows)


def read_sources(package: ModuleType) -> dict[str, Source]:
    """The kinds of store by name: one module or package each, but for those that ``SHARED`` of the package names.

    Raises:
        GraphError: a module lacks what every kind of store has, or has a part of what a kind may be able to do.
    """
    shared = vars(package).get("SHARED", ())
    names = sorted(info.name for info in iter_modules(package.__path__))
    return {name: _source(import_module(f"{package.__name__}.{name}")) for name in names if name not in shared}


def _source(module: ModuleType) -> Source:
    """The module as a kind of store."""
    declared = vars(module)
    options = declared.get("Options")
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise _incomplete(module, "Options, a pydantic model of what a customer may say about such a store", options)
    if not callable(declared.get("read")):
        raise _incomplete(module, "read(spark, location, options), which gives a DataFrame", declared.get("read"))
    for ability in ABILITIES:
        members = [name for name in (*vars(ability), *ability.__annotations__) if not name.startswith("_")]
        present = [name for name in members if name in declared]
        missing = [name for name in members if name not in declared]
        if present and missing:
            raise _incomplete(module, f"{listed(missing)} beside {listed(present)}", None)
    return cast("Source", module)


def _incomplete(module: ModuleType, expected: str, value: object) -> GraphError:
    return GraphError(
        "A module is no kind of store",
        expected=expected,
        came="nothing of that name" if value is None else repr(value),
        where=module.__name__,
        do="declare it, as ``contract.Source`` describes; what several kinds share belongs in sources/reading",
    )
