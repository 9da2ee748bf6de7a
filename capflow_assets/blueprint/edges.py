"""Edges: the table that a parameter names, and the values that are no edge.

``def rfm(bills, as_of)`` in ``features/rfm.py`` makes ``features/rfm`` from the nearest table called ``bills``: of the
same stage, else of an earlier one, going back. ``raw_bills`` names ``raw/bills``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from capflow_assets.blueprint.specs import Input
from capflow_assets.errors import GraphError, NotFoundError, nearest

STAGES = ("raw", "clean", "validation", "features")
INJECTED = frozenset({"as_of", "zone", "currency", "equal_lines", "ordered_exports", "kept"})


def edges_of(
    stage: str, name: str, function: Callable[..., Any], known: Iterable[str], also: frozenset[str] = frozenset()
) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """The tables that a function of ``stage/name`` is called on, and the values that it takes besides.

    Raises:
        GraphError: a parameter names no table.
    """
    inputs: list[Input] = []
    injected: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in INJECTED | also:
            injected.append(parameter.name)
            continue
        table = resolve(stage, name, parameter.name, known)
        inputs.append(Input(parameter.name, table, parameter.default is None))
    return tuple(inputs), tuple(injected)


def resolve(stage: str, name: str, parameter: str, known: Iterable[str]) -> str:
    """The table that a parameter names, seen from ``stage/name``.

    >>> resolve("features", "rfm", "bills", {"raw/bills", "clean/bills"})
    'clean/bills'
    >>> resolve("clean", "bills", "raw_bills", {"raw/bills", "clean/bills"})
    'raw/bills'
    """
    tables = set(known)
    before = STAGES[: STAGES.index(stage) + 1] if stage in STAGES else STAGES
    for earlier in reversed(before):
        candidate = f"{earlier}/{parameter}"
        if candidate in tables and candidate != f"{stage}/{name}":
            return candidate
    prefix, _, rest = parameter.partition("_")
    if f"{prefix}/{rest}" in tables and prefix in before:
        return f"{prefix}/{rest}"
    raise GraphError(
        f"The parameter {parameter!r} of {stage}/{name} names no table",
        expected=f"a table of {', '.join(before)}, or one of {', '.join(sorted(INJECTED))}",
        came=parameter,
        do=choice_of("table", parameter, {key.split("/")[1] for key in tables}),
    )


def choice_of(kind: str, name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as a hint; where none is near, all that there are."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else str(NotFoundError.among(kind, name, known))
