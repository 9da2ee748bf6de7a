"""Recursive features, those that say something new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.known_at import Moments, in_order

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="user with at least one bill",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("as_of", "timestamp", "The moment up to which bills were read.", required=True),
    ),
    key=("user_id", "as_of"),
    open=True,
)


def recursive(recursive_candidates: DataFrame, recursive_columns: DataFrame, *, as_of: Moments) -> DataFrame:
    """The recursive features that were kept, of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment. **Columns**: the key, and those
    candidates that ``recursive_columns`` keeps at the moment, of several moments at the newest, so that every row has
    the same columns; ``recursive_columns`` has the formula of each. **Missing**: as in ``recursive_candidates``.
    """
    from pyspark.sql import functions as F

    newest = F.col("as_of") == F.lit(in_order(as_of)[-1])
    kept_columns = {row[0] for row in recursive_columns.filter(newest & F.col("is_kept")).select("column").collect()}
    columns = (name for name in recursive_candidates.columns if name in kept_columns)
    return recursive_candidates.select(*TABLE.names, *columns)
