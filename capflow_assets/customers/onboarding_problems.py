"""What a customer's TOML is asked when it comes in, besides its form: parameters in bounds, mappings over one row.

A home's TOMLs are read far more often than they change, and a release may narrow a bound: a model whose parameters are
wrong then says so itself, and stops nothing else. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from capflow_assets.customers.toml_problems import unknown, validation_problems
from capflow_assets.errors import CapflowError, nearest
from capflow_assets.landing import queries, row_expressions


def onboarding_problems(data: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> list[CapflowError]:
    """Parameters that models do not have or that are out of bounds, and mappings that are no column and no expression.

    ``data`` is the TOML as it was read, right or wrong; ``models`` are the parameters that each model has.
    """
    declared = {name: params for name, params in _parts(data.get("models")).items() if name in models}
    return param_problems("models", "model", declared, models) + expression_problems(data)


def param_problems(
    part: str, kind: str, declared: Mapping[str, Mapping[str, Any]], known: Mapping[str, type[BaseModel]]
) -> list[CapflowError]:
    """What is wrong with the parameters in ``[part.NAME]``: names that there are not, and values out of bounds."""
    problems: list[CapflowError] = []
    for name, params in declared.items():
        if name not in known:
            problems.append(unknown(f"{part}.{name}", kind, name, known))
            continue
        try:
            known[name].model_validate(params)
        except ValidationError as error:
            problems += validation_problems(error, f"{part}.{name}", list(known[name].model_fields))
    return problems


def expression_problems(data: Mapping[str, Any]) -> list[CapflowError]:
    """Mappings, ``where`` and queries that may not be: other tables, the clock. The landing asks the same again."""
    problems: list[CapflowError] = []
    for table, declared in _parts(data.get("tables")).items():
        columns = declared["columns"] if isinstance(declared.get("columns"), dict) else {}
        texts = {**{f"columns.{name}": text for name, text in columns.items()}, "where": declared.get("where")}
        judged = {
            key: row_expressions.problem(text) for key, text in texts.items() if isinstance(text, str) and text.strip()
        }
        query = declared.get("query")
        if isinstance(query, str) and query.strip() and isinstance(declared.get("inputs", {}), dict):
            judged["query"] = queries.problem(query, declared.get("inputs", {}))
        problems += [error.at(f"tables.{table}.{key}") for key, error in judged.items() if error is not None]
    return problems


def vertical_note(vertical: str, known: Collection[str]) -> str:
    """What to say of a vertical of which there are no defaults; nothing where there are.

    >>> vertical_note("fashoin", ["fashion", "grocery"])
    "The vertical 'fashoin' is new here, so checks have no defaults of a vertical; did you mean 'fashion'?"
    >>> vertical_note("toys", ["fashion"])
    "The vertical 'toys' is new here, so checks have no defaults of a vertical; there are: fashion"
    """
    if vertical in known:
        return ""
    near = nearest(vertical, known)
    hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(sorted(known))}"
    return f"The vertical {vertical!r} is new here, so checks have no defaults of a vertical; {hint}"


def _parts(value: Any) -> dict[str, dict[str, Any]]:
    return {name: part for name, part in value.items() if isinstance(part, dict)} if isinstance(value, dict) else {}
