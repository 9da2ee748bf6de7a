"""Carry a feature table on to a later moment, from itself and the rows since, where nothing earlier has changed.

A block that has ``advanced`` need not read again what it has summed up before. What it was made of is remembered beside
the table: the moment, the code, the parameters, and of every input the version and a fingerprint of the rows up to the
moment. Where one of them differs now (a late row, a corrected one, an erased user, another zone), all is computed anew.
So the outcome is the same either way; only the work differs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.blueprint.specs import Input, TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.expressions.known_at import is_known
from capflow_assets.stores.fingerprints import fingerprint
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass
class Advancing:
    """What is remembered of the feature tables of one customer. One for a run: a fingerprint is taken once."""

    lake: Lake
    stages: Stages
    customer: Customer
    _prints: dict[tuple[str, datetime], list[str]] = field(default_factory=dict)

    def since(self, spec: TableSpec, moment: datetime) -> datetime | None:
        """The earlier moment (or the same) from which a table can be carried on; None where it must be made anew."""
        content = self.lake.read_bytes(self.customer.name, _place(spec)) if spec.advanced else None
        if content is None or self.lake.damage(self.customer.name, spec.key):
            return None
        then = json.loads(content)
        earlier = datetime.fromisoformat(then["as_of"])
        same = {"recipe": self._recipe(spec), "table": _listed(self.lake.identity(self.customer.name, spec.key))}
        if earlier > moment or any(then.get(name) != value for name, value in same.items()):
            return None
        inputs = self._inputs(spec)
        if set(then["inputs"]) != set(inputs):
            return None
        is_same = all(self._is_same(key, then["inputs"][key], earlier) for key in inputs)
        return earlier if is_same else None

    def remember(self, spec: TableSpec, moment: datetime) -> None:
        """Keep what the table that was just written is made of."""
        if spec.advanced is None:
            return
        name = self.customer.name
        inputs = {
            key: {"identity": _listed(self.lake.identity(name, key)), "print": self._print(key, moment)}
            for key in self._inputs(spec)
        }
        note = {
            "as_of": moment.isoformat(),
            "recipe": self._recipe(spec),
            "table": _listed(self.lake.identity(name, spec.key)),
            "inputs": inputs,
        }
        self.lake.save_bytes(name, _place(spec), json.dumps(note, indent=1).encode())

    def _inputs(self, spec: TableSpec) -> list[str]:
        return [source.table for source in spec.inputs if self.lake.exists(self.customer.name, source.table)]

    def _is_same(self, key: str, then: Mapping[str, Any], earlier: datetime) -> bool:
        """Whether the rows up to the earlier moment are those that the table was made of."""
        if then["identity"] == _listed(self.lake.identity(self.customer.name, key)):
            return True
        return bool(then["print"] == self._print(key, earlier))

    def _print(self, key: str, moment: datetime) -> list[str]:
        if (key, moment) not in self._prints:
            rows = between(self.lake.table(self.customer.name, key), self.stages.tables[key], None, moment)
            rows_print = fingerprint(rows)
            self._prints[key, moment] = [str(rows_print.rows), str(rows_print.hashes)]
        return self._prints[key, moment]

    def _recipe(self, spec: TableSpec) -> dict[str, str]:
        """The code, the parameters and the customer's settings that a table depends on."""
        code = code_digest(Path(str(spec.module.__file__))) if spec.module else ""
        params = json.dumps(self.customer.features.get(spec.name, {}), sort_keys=True, default=str)
        return {"code": code, "params": params, "zone": self.customer.time_zone, "currency": self.customer.currency}


def between(frame: DataFrame, spec: TableSpec, after: datetime | None, until: datetime) -> DataFrame:
    """The rows later than ``after`` and not later than ``until``; all of a table whose rows have no time.

    A row without a time was always known: it is among those up to a moment, and not among those since.
    """
    from pyspark.sql import functions as F

    if spec.table.time is None:
        return frame
    if after is None:
        return frame.filter(is_known(spec.table.time, until))
    time = F.col(spec.table.time)
    return frame.filter((time <= F.lit(until)) & (time > F.lit(after)))


def carried_on(
    spec: TableSpec,
    lake: Lake,
    customer: str,
    tables: Mapping[str, TableSpec],
    since: datetime,
    values: Mapping[str, Any],
) -> DataFrame:
    """The table as of ``values["as_of"]`` from itself as of ``since`` and the rows between."""

    def rows(source: Input) -> DataFrame | None:
        if not lake.exists(customer, source.table):
            return None
        return between(lake.table(customer, source.table), tables[source.table], since, values["as_of"])

    frames = {source.parameter: rows(source) for source in spec.inputs}
    assert spec.advanced is not None  # noqa: S101  (since says so)
    advanced: DataFrame = spec.advanced(
        lake.table(customer, spec.key), **frames, **{name: values[name] for name in spec.injected}
    )
    return advanced


def _place(spec: TableSpec) -> str:
    return f"_made_of/{spec.key.replace('/', '.')}.json"


def _listed(identity: tuple[str, int] | None) -> list[Any] | None:
    return None if identity is None else list(identity)
