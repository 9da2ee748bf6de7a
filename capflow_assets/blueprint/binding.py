"""Give tables what holds for them: their moment, what models need, and what a customer sets for features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Horizon, Model, Requirements

if TYPE_CHECKING:
    from capflow_assets.blueprint.specs import TableSpec


def bind_moments(tables: Mapping[str, TableSpec], bills: str) -> dict[str, TableSpec]:
    """The same tables; those that are cut at the newest bill, and made of nothing that waits for it, come after it."""

    def made_of(spec: TableSpec) -> set[str]:
        ancestors: set[str] = set()
        fresh = {source.table for source in spec.inputs}
        while fresh:
            ancestors |= fresh
            fresh = {source.table for key in fresh for source in tables[key].inputs} - ancestors
        return ancestors

    def is_late(spec: TableSpec) -> bool:
        return spec.cut and bills in tables and bills not in made_of(spec)

    return {key: replace(spec, after=(bills,)) if is_late(spec) else spec for key, spec in tables.items()}


def bind_needs(tables: Mapping[str, TableSpec], requirements: Mapping[str, Requirements]) -> dict[str, TableSpec]:
    """The same tables; those that ask for the models' needs get them, in place of any that they had before."""
    return {
        key: replace(spec, function=partial(spec.function, needs=requirements))
        if spec.function and spec.asks_needs
        else spec
        for key, spec in tables.items()
    }


def bind_params(tables: Mapping[str, TableSpec], given: Mapping[str, Mapping[str, Any]]) -> dict[str, TableSpec]:
    """The same tables; those for which something is set get it."""

    def bound(spec: TableSpec) -> TableSpec:
        if spec.params is None or spec.name not in given or spec.stage != "features":
            return spec
        chosen = spec.params(**given[spec.name])
        both = (function and partial(function, params=chosen) for function in (spec.function, spec.advanced))
        function, advanced = both
        return replace(spec, function=function, advanced=advanced)

    return {key: bound(spec) for key, spec in tables.items()}


def params_of(model: Model[Any], given: Mapping[str, Any]) -> Horizon:
    """A model's parameters with what is given; by themselves where the model refuses what is given."""
    from pydantic import ValidationError

    try:
        return model.params(**given)
    except ValidationError:
        return model.params.model_validate({})
