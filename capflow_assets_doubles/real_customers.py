"""The demo's real customers as the tables that feature blocks read, written to Parquet once for every engine.

Needs the packages of the extra ``demo``, whose files are read and whose code is never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import capflow_assets.demo
from capflow_assets.blueprint.calls import call
from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.customers.customer import Customer, read_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.landing.canonical_rows import conform
from capflow_assets_doubles.landings import split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from capflow_assets.expressions.known_at import Moments

Narrow = Callable[["DataFrame"], "DataFrame"]


def demo_customer(name: str) -> Customer:
    """A customer of the demo by its name: ``grocer`` or ``records``."""
    tables = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
    return read_customer(Path(capflow_assets.demo.__file__).with_name(f"{name}.toml"), tables, SOURCES)


def blocks_of(customer: Customer) -> dict[str, TableSpec]:
    """The feature tables that the customer can have, in an order in which they can be computed."""
    absent = STAGES.absent(customer.tables)
    return {key: STAGES.tables[key] for key in STAGES.order if key.startswith("features/") and key not in absent}


def prepare(spark: SparkSession, customer: Customer, folder: Path, narrow: Narrow = lambda frame: frame) -> None:
    """Land and clean all that feature blocks read: one folder of Parquet files a table, ``folder/clean/bills``.

    ``narrow`` is asked of each landed table that knows its users, and may keep some of them only.
    """
    absent = STAGES.absent(customer.tables)
    for key in STAGES.order:
        spec = STAGES.tables[key]
        if key in absent or spec.stage not in ("raw", "clean"):
            continue
        if spec.function is None:
            frame = _landed(spark, customer, spec)
            frame = narrow(frame) if "user_id" in frame.columns else frame
        else:
            frame = call(spec, inputs(spark, folder, spec, absent), values(customer))
        if "removed_because" in frame.columns:
            frame = frame.filter("removed_because is null").drop("removed_because")
        frame.write.mode("overwrite").parquet(str(folder / key))


def values(customer: Customer, as_of: Moments | None = None) -> dict[str, Any]:
    """What is injected into the customer's tables."""
    return {"as_of": as_of, "zone": customer.time_zone, "currency": customer.currency}


def inputs(
    spark: SparkSession, folder: Path, spec: TableSpec, absent: Mapping[str, str], blocks_folder: Path | None = None
) -> dict[str, Any]:
    """The frames that a table's function takes, read from the folder; None for what the customer does not have.

    Blocks that are made of other blocks read those below ``blocks_folder``.
    """

    def place(key: str) -> str:
        return str((blocks_folder if blocks_folder and key.startswith("features/") else folder) / key)

    return {
        parent.parameter: None if parent.table in absent else spark.read.parquet(place(parent.table))
        for parent in spec.inputs
    }


def _landed(spark: SparkSession, customer: Customer, spec: TableSpec) -> DataFrame:
    declared = customer.tables[spec.name]
    source = SOURCES[declared.source]
    options: Any = source.Options(**declared.options)
    sent = source.read(spark, customer.location(spec.name), options)
    accepted, _ = split(
        conform(
            sent,
            spec.table,
            declared.columns,
            zone=customer.time_zone,
            timestamp_format=options.timestamp_format,
            date_format=options.date_format,
        )
    )
    return accepted
