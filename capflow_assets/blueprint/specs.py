"""What the stages declare, one spec each: tables, checks and models, with the tables that each is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import USER, Horizon, Model, Requirements, Table
from capflow_assets.customers.checks_settings import Rule

if TYPE_CHECKING:
    from pydantic import BaseModel

CUT_STAGES = frozenset({"validation", "features"})
# The newest bill is the newest that is known of a customer.
BILLS = "clean/bills"
AS_OF = "as_of"
# What a model's functions may ask for by that name: its parameters, as they hold for the customer.
PARAMS = "params"
# What the tables of models' answers are called.
ANSWERS = "predictions/"


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
class Call:
    """A function that a model declares, with the tables of its parameters and the values that it takes besides."""

    function: Callable[..., Any]
    inputs: tuple[Input, ...]
    injected: tuple[str, ...]

    @property
    def tables(self) -> frozenset[str]:
        """The tables that it is called on."""
        return frozenset(source.table for source in self.inputs)


@dataclass(frozen=True)
class ModelSpec:
    """One model of the graph, and the tables of the functions that it declares.

    ``known`` and ``events`` are those of its subject, None where it has none.
    """

    name: str
    model: Model[Any]
    module: ModuleType
    outcome: Call
    known: Call | None = None
    events: Call | None = None

    @cached_property
    def edges(self) -> Mapping[str, frozenset[str]]:
        """The four assets of the model, and the assets that each is made of."""
        reads = frozenset(self.model.tables) | (self.known.tables if self.known else frozenset())
        evidence = self.outcome.tables | (self.events.tables if self.events else frozenset())
        return {
            f"models/{self.name}": reads | evidence | frozenset(self.model.needs.tables),
            f"predictions/{self.name}": reads | frozenset({f"models/{self.name}"}),
            f"health/{self.name}": frozenset({f"predictions/{self.name}"}),
            f"delivery/{self.name}": frozenset({f"predictions/{self.name}"}),
        }

    def requirements(self, params: Horizon | None = None, absent: Iterable[str] = ()) -> Requirements:
        """What the model needs of a customer with these parameters, by default its own."""
        model, compute = self.model, self.model.outcome.compute
        chosen = params or model.params.model_construct()
        if PARAMS in self.outcome.injected:
            compute = partial(compute, params=chosen)
        return Requirements(
            needs=model.needs,
            horizon_days=chosen.horizon_days,
            moments=chosen.moments,
            outcome=compute,
            column=model.outcome.columns[0],
            outcome_tables={source.parameter: source.table for source in self.outcome.inputs},
            injected=tuple(name for name in self.outcome.injected if name != PARAMS),
            # Of examples whose moments are events no horizons are counted back.
            fitted="now" if model.subject.events else model.fitted,
            is_of_users=model.subject.key == USER.key,
            absent=tuple(sorted(set(model.needs.tables) & set(absent))),
            answers_from=model.answers_from,
        )
