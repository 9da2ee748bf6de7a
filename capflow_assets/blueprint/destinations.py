"""The kinds of destination that a package declares, held against the contract when they are read."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from pydantic import BaseModel

from capflow_assets.contract import Destination
from capflow_assets.errors import GraphError, listed

METHODS = ("held", "newest", "send", "withdraw")
RESENDS = ("idempotent", "never")


def read_destinations(package: ModuleType) -> dict[str, Destination]:
    """The kinds of destination by name: one module or package each, but for those that ``SHARED`` of it names.

    Raises:
        GraphError: a module declares no ``DESTINATION``, or one that lacks what the contract asks.
    """
    shared = vars(package).get("SHARED", ())
    names = sorted(info.name for info in iter_modules(package.__path__))
    return {name: _destination(import_module(f"{package.__name__}.{name}")) for name in names if name not in shared}


def _destination(module: ModuleType) -> Destination:
    destination = vars(module).get("DESTINATION")
    if destination is None:
        raise _incomplete(module, "DESTINATION = …, a Destination of the contract", "nothing of that name")
    options = getattr(destination, "options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise _incomplete(module, "options, a pydantic model", repr(options))
    missing = [name for name in METHODS if not callable(getattr(destination, name, None))]
    if missing:
        raise _incomplete(module, f"the methods {listed(METHODS)}", f"no {listed(missing)}")
    if getattr(destination, "resend", None) not in RESENDS:
        raise _incomplete(module, f"resend, one of {listed(RESENDS)}", repr(getattr(destination, "resend", None)))
    if not isinstance(getattr(destination, "tells", None), bool):
        raise _incomplete(module, "tells, true or false", repr(getattr(destination, "tells", None)))
    return destination


def _incomplete(module: ModuleType, expected: str, received: str) -> GraphError:
    do = "declare it, as ``contract.Destination`` describes; what several kinds share is named in SHARED"
    return GraphError(
        "A module is no kind of destination", expected=expected, came=received, where=module.__name__, do=do
    )
