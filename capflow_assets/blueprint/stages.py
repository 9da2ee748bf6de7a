"""Read the stage packages: which tables, checks and models there are, and the edges between them.

An edge is a parameter's name. ``def rfm(bills, as_of)`` in ``features/rfm.py`` makes ``features/rfm`` from the nearest
table called ``bills``: of the same stage, else of an earlier one, going back. ``raw_bills`` names ``raw/bills``. All
that is wired wrongly is refused here, at load, with a ``GraphError``.

A table's parameter ``needs`` is no edge: it gets what every model asks (a mapping of its name to ``contract.Asked``),
so that a report can judge all models and import none. Nor is ``params``: what a TOML sets under ``[features.NAME]``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.binding import bind_moments, bind_needs, bind_params, params_of
from capflow_assets.contract import Asked, Model, Params, Table
from capflow_assets.customers.checks_settings import Rule, thresholds_of
from capflow_assets.errors import GraphError, NotFoundError
from capflow_assets.learning.measures import MEASURES

if TYPE_CHECKING:
    from pydantic import BaseModel

STAGES = ("raw", "clean", "validation", "features")
INJECTED = frozenset({"as_of", "zone", "currency", "equal_lines", "ordered_exports"})
CUT_STAGES = frozenset({"validation", "features"})
# The newest bill is the newest that is known of a customer.
BILLS = "clean/bills"
NEEDS = "needs"
PARAMS = "params"
AS_OF = "as_of"


@dataclass(frozen=True, slots=True)
class Input:
    """One parameter of a table's function: the table it names, or a value that the runner injects."""

    parameter: str
    table: str
    optional: bool


@dataclass(frozen=True)
class TableSpec:
    """One table of the graph: its name ``stage/table``, schema, function and edges.

    ``advanced`` makes the table as of a later moment of itself as of an earlier one and the rows between; None where
    only all rows make it. ``params`` is what a customer may set for it. ``after`` names the bills where it is made of
    none and cut at the newest of them all the same.
    """

    key: str
    table: Table
    description: str
    function: Callable[..., Any] | None = None
    inputs: tuple[Input, ...] = ()
    injected: tuple[str, ...] = ()
    plot: Callable[..., Any] | None = None
    asks_needs: bool = False
    advanced: Callable[..., Any] | None = None
    params: type[BaseModel] | None = None
    module: ModuleType | None = None
    after: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The first half of the key."""
        return self.key.split("/")[0]

    @property
    def name(self) -> str:
        """The second half of the key."""
        return self.key.split("/")[1]

    @property
    def cut(self) -> bool:
        """Whether the runner cuts this table's inputs at the as-of moment."""
        return self.stage in CUT_STAGES

    @property
    def waits_for(self) -> frozenset[str]:
        """The tables that it is made of, and the one that tells its as-of moment."""
        return frozenset({*(source.table for source in self.inputs), *self.after})

    @property
    def is_catalogued(self) -> bool:
        """Whether its columns are features that the catalogue tells of."""
        return self.stage == "features" and not self.table.intermediate

    @property
    def takes_moments(self) -> bool:
        """Whether its function may be asked for several moments at once: then each row says which it is of."""
        return AS_OF in self.table.key


@dataclass(frozen=True)
class CheckSpec:
    """A check: a function returning a ``Finding`` about the table of its first parameter; its file's ``SEVERITY``."""

    name: str
    table: str
    description: str
    function: Callable[..., Any]
    inputs: tuple[Input, ...]
    injected: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    severity: Rule | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model of the graph, and the tables that its labels are made of."""

    name: str
    model: Model
    module: ModuleType
    labels: tuple[Input, ...]
    injected: tuple[str, ...]

    def asked(self, params: Params | None = None, absent: Iterable[str] = ()) -> Asked:
        """What the model asks of a customer with these parameters, by default its own."""
        chosen = params or self.model.params.model_validate({})
        return Asked(
            needs=self.model.needs,
            horizon_days=chosen.horizon_days,
            moments=chosen.moments,
            label=self.model.label,
            outcome=self.model.label_columns[0],
            label_tables={source.parameter: source.table for source in self.labels},
            injected=self.injected,
            learns_from=self.model.learns_from,
            absent=tuple(sorted(set(self.model.needs.tables) & set(absent))),
        )


@dataclass(frozen=True)
class Stages:
    """Everything that the packages declare, checked, in an order in which it can be computed."""

    tables: Mapping[str, TableSpec]
    checks: tuple[CheckSpec, ...]
    models: Mapping[str, ModelSpec]

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Table names such that every table comes after those that it waits for."""
        try:
            waits = {key: sorted(spec.waits_for) for key, spec in self.tables.items()}
            return tuple(TopologicalSorter(waits).static_order())
        except CycleError as error:
            raise GraphError("Tables are made of each other", came=" -> ".join(error.args[1])) from None

    def spec(self, key: str) -> TableSpec:
        """A table by its name; ``NotFoundError`` names the ones there are."""
        if key not in self.tables:
            raise NotFoundError.among("table", key, self.tables)
        return self.tables[key]

    def model(self, name: str) -> ModelSpec:
        """A model by its name; ``NotFoundError`` names the ones there are."""
        if name not in self.models:
            raise NotFoundError.among("model", name, self.models)
        return self.models[name]

    def of_customer(
        self,
        declared: Iterable[str],
        params: Mapping[str, Mapping[str, Any]],
        features: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Stages:
        """The same, with what holds for a customer: needs by its ``declared`` raw tables and its models' own
        parameters, and what it sets for feature tables.

        Parameters that a model refuses are left to its training, which says what is wrong with them.
        """
        absent = self.absent(declared)
        asked = {
            name: spec.asked(params_of(spec.model, params.get(name, {})), absent) for name, spec in self.models.items()
        }
        return replace(self, tables=bind_params(bind_needs(self.tables, asked), features or {}))

    def absent(self, declared: Iterable[str]) -> dict[str, str]:
        """The tables that a customer with the ``declared`` raw tables cannot have, each with the reason.

        A table is absent where a required input is, or where all of its inputs are optional and none is there; and
        features are where there are no bills.
        """
        given = set(declared)
        reasons: dict[str, str] = {}
        for key in self.order:
            spec = self.tables[key]
            if spec.function is None:
                if spec.name not in given:
                    reasons[key] = f"the customer's TOML declares no [tables.{spec.name}]"
                continue
            missing = [source.table for source in spec.inputs if source.table in reasons]
            required = [source.table for source in spec.inputs if not source.optional and source.table in reasons]
            if spec.stage == "features" and BILLS in reasons:
                required = [BILLS]  # what is known of users, items and all else is known as of a bill
            if required or (missing and len(missing) == len(spec.inputs)):
                reasons[key] = f"it is made of {', '.join(required or missing)}, which the customer does not have"
        return reasons


def read_stages(packages: Mapping[str, ModuleType]) -> Stages:
    """All tables, checks and models of the given packages (by stage name, in the order the data flows)."""
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
    models = {name: _model(name, module, known) for name, module in modules["models"].items()}
    tables = bind_moments(tables, BILLS)
    bound = bind_needs(tables, {name: spec.asked() for name, spec in models.items()})
    stages = Stages(tables=bound, checks=tuple(checks), models=models)
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
        return TableSpec(f"raw/{name}", module.TABLE, inspect.cleandoc(module.__doc__ or ""))
    function = _function(stage, name, module)
    params = getattr(module, "Params", None)
    given = {NEEDS, PARAMS} if params else {NEEDS}
    inputs, injected = _edges(stage, name, function, known, also=frozenset(given))
    return TableSpec(
        key=f"{stage}/{name}",
        table=module.TABLE,
        description=inspect.getdoc(function) or "",
        function=function,
        inputs=inputs,
        injected=tuple(value for value in injected if value not in given),
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
    inputs, injected = _edges(stage, name, function, known, also=frozenset(thresholds))
    if not inputs:
        raise GraphError(f"The check {name} names no table", expected="a first parameter that names one")
    values = tuple(value for value in injected if value not in thresholds)
    own = (thresholds, getattr(module, "SEVERITY", None))
    return CheckSpec(name, inputs[0].table, inspect.getdoc(function) or "", function, inputs, values, *own)


def _model(name: str, module: ModuleType, known: set[str]) -> ModelSpec:
    model = getattr(module, "MODEL", None)
    if not isinstance(model, Model):
        raise GraphError(f"models/{name}.py declares no model", expected="MODEL = Model(...)", where=module.__name__)
    for block in model.features:
        if f"features/{block}" not in known:
            raise GraphError(f"The model {name} reads features that do not exist", came=block, where=module.__name__)
    for table in model.needs.tables:
        if table not in known:
            raise GraphError(f"The model {name} needs a table that does not exist", came=table, where=module.__name__)
    for measure in model.needs.evidence:
        if measure not in MEASURES:
            do = str(NotFoundError.among("measure", measure, MEASURES)).split("To do: ")[-1]
            raise GraphError(f"The model {name} needs evidence of no known measure", came=measure, do=do)
    labels, injected = _edges("models", name, model.label, known, also=frozenset({"start", "end"}))
    return ModelSpec(name, model, module, labels, injected)


def _edges(
    stage: str, name: str, function: Callable[..., Any], known: set[str], also: frozenset[str] = frozenset()
) -> tuple[tuple[Input, ...], tuple[str, ...]]:
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
        do=str(NotFoundError.among("table", parameter, {key.split("/")[1] for key in tables})).split("To do: ")[-1],
    )
