"""Whose a row is that could not land: its source row, read as the customer's mapping says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.customer import Customer
from capflow_assets.expressions.ids import normal
from capflow_assets.landing.personal import OWNER
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

POSITION = "_place"
# The options of a source that say how its texts are read.
READING_OPTIONS = ("timestamp_format", "date_format", "decimal_comma")


class RejectedRow(NamedTuple):
    """A source row as the lake keeps it, with its user and bill in their normal form; blank where it has none."""

    text: str
    user: str
    bill: str


def rejected_rows(
    lake: Lake, stages: Stages, customer: Customer, table: str, texts: Sequence[str]
) -> list[RejectedRow]:
    """The rejected rows of ``table`` (``raw/bills_rejected``), of which the lake keeps ``texts``."""
    rows = [json.loads(text) for text in texts]
    raw = table.removesuffix("_rejected")
    declared = customer.tables.get(raw.partition("/")[2])
    mapping = declared.columns if declared else {}
    users = _mapped(lake, rows, mapping.get("user_id"))
    if declared and OWNER in declared.personal:  # what the mapping would make of hashes says nothing
        users = [str(row.get(OWNER) or user) for row, user in zip(rows, users, strict=True)]
    if declared is not None and declared.bill_key and any(rows):
        bills = _bills_by_key(lake, stages, customer, raw, rows)
    else:
        bills = _mapped(lake, rows, mapping.get("bill_id"))
    return [RejectedRow(*parts) for parts in zip(texts, users, bills, strict=True)]


def _bills_by_key(
    lake: Lake, stages: Stages, customer: Customer, raw: str, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The bill of each row of a table with a ``bill_key``, as landing makes it; blank where it makes none."""
    from capflow_assets.landing.canonical_rows import conform

    declared = customer.tables[raw.partition("/")[2]]
    landed = conform(
        _numbered_frame(lake, rows, _columns(rows)),
        stages.spec(raw).table,
        {**declared.columns, POSITION: POSITION},
        zone=customer.time_zone,
        bill_key=declared.bill_key,
        **{option: declared.options[option] for option in READING_OPTIONS if option in declared.options},
    )
    bills = {int(position): bill or "" for position, bill in landed.select(POSITION, "bill_id").collect()}
    return [bills[position] for position in range(len(rows))]


def _mapped(lake: Lake, rows: Sequence[Mapping[str, Any]], expression: str | None) -> list[str]:
    """What a mapping makes of source rows, as ids in their normal form; blank where it makes nothing."""
    columns = _columns(rows)
    if expression is None or not columns:
        return [""] * len(rows)
    if expression in columns:
        return [normal(str(row.get(expression) or "")) for row in rows]
    import pyspark.sql.types as st

    from capflow_assets.landing import row_expressions
    from capflow_assets.landing.row_expressions.kinds import Meaning

    # What was rejected may hold what the expression could not read.
    meaning = Meaning({column: st.StringType() for column in columns})
    value, _ = row_expressions.converted(expression, columns, meaning)
    ids = _numbered_frame(lake, rows, columns).select(POSITION, value.cast("string")).collect()
    return [normal(text) for _, text in sorted((row[0], row[1]) for row in ids)]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({column for row in rows for column in row})


def _numbered_frame(lake: Lake, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """The rows as texts, each with its position."""
    import pyspark.sql.types as st

    values = [(position, *(row.get(column) for column in columns)) for position, row in enumerate(rows)]
    fields = [st.StructField(POSITION, st.IntegerType())]
    fields += [st.StructField(column, st.StringType()) for column in columns]
    return lake.spark().createDataFrame(values, st.StructType(fields))
