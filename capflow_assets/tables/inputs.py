"""What the functions of a run are called with: tables, the as-of moment, and what the customer has declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import call, cut
from capflow_assets.blueprint.specs import BILLS, Input
from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.expressions.as_of import as_of_moment, parse_moment, past
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.vector_store import VectorStore
from capflow_assets.tables.exports import cleaning_values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NONE_YET: Mapping[str, Any] = {}


@dataclass
class Inputs:
    """The inputs of one run over one customer's tables, of which ``selected`` are computed anew by it.

    ``absent`` are the tables that the customer cannot have, each with the reason. Where a ``candidate`` is given, rows
    of these tables are not in the lake yet.
    """

    lake: Lake
    stages: Stages
    customer: Customer
    selected: frozenset[str]
    as_of: str | None = None
    absent: Mapping[str, str] = field(init=False)
    _moment: datetime | None = None

    def __post_init__(self) -> None:
        self.absent = self.stages.absent(self.customer.tables)

    def frames(
        self, inputs: tuple[Input, ...], moment: datetime | None, candidate: Mapping[str, DataFrame] = NONE_YET
    ) -> dict[str, DataFrame | None]:
        """The tables behind a function's parameters, cut at the moment."""
        frames: dict[str, DataFrame | None] = {}
        for source in inputs:
            spec = self.stages.tables[source.table]
            if source.table in self.absent:
                frames[source.parameter] = None
            elif moment is not None and spec.cut and source.table not in self.selected:
                # What lies in the lake is as of the moment of another run.
                frames[source.parameter] = call(spec, self.frames(spec.inputs, moment), self.values(moment))
            else:
                is_stored = source.table not in candidate
                frame = self.lake.table(self.customer.name, source.table) if is_stored else candidate[source.table]
                frames[source.parameter] = frame if moment is None else cut(frame, spec, moment)
        return frames

    def values(self, moment: datetime | None) -> dict[str, Any]:
        """The values that a function may ask for by its parameters' names."""
        customer = self.customer
        values: dict[str, Any] = {"as_of": moment, "zone": customer.time_zone, "currency": customer.currency}
        values["kept"] = VectorStore(self.lake, customer.name)
        return values | cleaning_values(customer)

    def moment(self) -> datetime:
        """The as-of moment of this run: the one asked for, else that of the newest bill."""
        if self._moment is None:
            asked = self._asked_moment()
            # A moment asked for holds without bills too; the tables made of them are absent then.
            has_bills = self.lake.exists(self.customer.name, BILLS)
            self._moment = as_of_moment(self._bills(), asked) if has_bills or not asked else past(asked)
        return self._moment

    def moment_of(self, candidate: Mapping[str, DataFrame]) -> datetime:
        """The as-of moment, of bills that are not in the lake yet where they are among the candidates."""
        return as_of_moment(candidate[BILLS], self._asked_moment()) if BILLS in candidate else self.moment()

    def _asked_moment(self) -> datetime | None:
        return parse_moment(self.as_of, self.customer.time_zone) if self.as_of else None

    def _bills(self) -> DataFrame:
        return self.lake.table(self.customer.name, BILLS)
