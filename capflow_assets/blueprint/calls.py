"""Call what a stage file declares: a function on its inputs, which are cut at the as-of moment first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import CheckSpec, TableSpec
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.known_at import is_known

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def call(
    spec: TableSpec | CheckSpec,
    frames: Mapping[str, Any],
    values: Mapping[str, Any],
    thresholds: Mapping[str, float] | None = None,
) -> Any:
    """A table's or check's function on its inputs and those injected values that it asks for, else its own defaults."""
    function = spec.function
    if function is None:
        raise CapflowError(f"{spec.name} has no function")
    return function(**frames, **{name: values[name] for name in spec.injected if name in values}, **(thresholds or {}))


def cut(frame: DataFrame, spec: TableSpec, moment: datetime) -> DataFrame:
    """Only what was true at the moment: rows later than it do not exist; rows without a time always did."""
    return frame if spec.table.time is None else frame.filter(is_known(spec.table.time, moment))
