"""Read the stage packages: which tables, checks and models there are, and the edges between them.

An edge is a parameter's name, see ``edges``. All that is wired wrongly is refused here, at load, with a ``GraphError``.

A table's parameter ``needs`` is no edge: it gets what every model asks (``contract.Requirements`` by the model's name),
so that a report can judge all models and import none. Nor is ``params``: what a TOML sets under ``[features.NAME]``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from capflow_assets.blueprint.binding import bind_moments, bind_needs
from capflow_assets.blueprint.destinations import read_destinations
from capflow_assets.blueprint.edges import STAGES, edges_of
from capflow_assets.blueprint.model_reading import read_models
from capflow_assets.blueprint.specs import BILLS, CheckSpec, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Table
from capflow_assets.customers.checks_settings import thresholds_of
from capflow_assets.errors import GraphError

DELIVERY = "delivery"
NEEDS = "needs"
PARAMS = "params"


def read_stages(packages: Mapping[str, ModuleType]) -> Stages:
    """All tables, checks, models and kinds of destination of the given packages, by stage name."""
    modules = {stage: dict(_modules(packages[stage])) for stage in (*STAGES, "models")}
    known = {f"{stage}/{name}" for stage in STAGES for name, module in modules[stage].items() if _is_table(module)}
    tables: dict[str, TableSpec] = {}
    checks: list[CheckSpec] = []
    for stage in STAGES:
        for name, module in modules[stage].items():
            if _is_table(module):
                tables[f"{stage}/{name}"] = _table(stage, name, module, known)
            else:
                checks.append(_check(stage, name, module, known))
    models = read_models(modules["models"], tables)
    tables = bind_moments(tables, BILLS)
    bound = bind_needs(tables, {name: spec.requirements() for name, spec in models.items()})
    destinations = read_destinations(packages[DELIVERY]) if DELIVERY in packages else {}
    stages = Stages(tables=bound, checks=tuple(checks), models=models, destinations=destinations)
    assert stages.order  # noqa: S101  (computing it refuses cycles at load)
    return stages


def _modules(package: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield info.name, importlib.import_module(f"{package.__name__}.{info.name}")


def _is_table(module: ModuleType) -> bool:
    return isinstance(getattr(module, "TABLE", None), Table)


def _function(stage: str, name: str, module: ModuleType) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        raise GraphError(
            f"{stage}/{name}.py yields nothing",
            expected=f"a function called {name}" + (" and TABLE = Table(...)" if stage != "validation" else ""),
            where=module.__name__,
        )
    return function


def _table(stage: str, name: str, module: ModuleType, known: set[str]) -> TableSpec:
    if stage == "raw":
        return TableSpec(f"raw/{name}", module.TABLE, inspect.cleandoc(module.__doc__ or ""), module=module)
    function = _function(stage, name, module)
    params = getattr(module, "Params", None)
    values = {NEEDS, PARAMS} if params else {NEEDS}
    inputs, injected = edges_of(stage, name, function, known, also=frozenset(values))
    return TableSpec(
        key=f"{stage}/{name}",
        table=module.TABLE,
        description=inspect.getdoc(function) or "",
        function=function,
        inputs=inputs,
        injected=tuple(value for value in injected if value not in values),
        plot=getattr(module, "plot", None),
        asks_needs=NEEDS in injected,
        advanced=getattr(module, "advanced", None),
        params=params,
        module=module,
    )


def _check(stage: str, name: str, module: ModuleType, known: set[str]) -> CheckSpec:
    function = _function(stage, name, module)
    returns = str(inspect.signature(function).return_annotation)
    if "Finding" not in returns:
        raise GraphError(
            f"{stage}/{name}.py is neither a table nor a check",
            expected="TABLE = Table(...), or a function that returns a Finding",
            came=f"a function that returns {returns}",
            where=module.__name__,
        )
    thresholds = thresholds_of(function)
    inputs, injected = edges_of(stage, name, function, known, also=frozenset(thresholds))
    if not inputs:
        raise GraphError(f"The check {name} names no table", expected="a first parameter that names one")
    values = tuple(value for value in injected if value not in thresholds)
    own = (thresholds, getattr(module, "SEVERITY", None))
    return CheckSpec(name, inputs[0].table, inspect.getdoc(function) or "", function, inputs, values, *own)
