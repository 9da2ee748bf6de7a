"""Recursive features, all of them: aggregations composed over the entity graph, before any is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from capflow_assets.contract import Column, Table
from capflow_assets.expressions.known_at import Moments
from capflow_assets.synthesis.features import DEEPEST, synthesis
from capflow_assets.synthesis.scans import feature_table

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
    intermediate=True,
)


class Params(BaseModel):
    """How far the features are composed, and over which windows."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    depth: int = Field(2, ge=1, le=DEEPEST, description="How many primitives are stacked in a feature at most.")
    windows_days: tuple[int, ...] = Field(
        (28, 91), max_length=6, description="Windows before the moment, in days, besides all time."
    )


def recursive_candidates(
    bills: DataFrame,
    line_items: DataFrame | None = None,
    items: DataFrame | None = None,
    raw_stores: DataFrame | None = None,
    *,
    as_of: Moments,
    zone: str,
    params: Params | None = None,
) -> DataFrame:
    """Every feature that the entity graph and the primitives give of each known user as of a moment.

    **Grain**: one row per user with at least one bill up to the moment, and moment; anonymous bills are left out.

    **Columns**: besides the key, what Deep Feature Synthesis composes: users have bills, a bill has line items and a
    store, a line item has an item. ``bills_mean_of_line_items_max_amount_91d`` is
    ``mean(bills.max(line_items.amount))`` over the bills of the last 91 days, the moment's own day included: the mean
    over the user's bills of the bill's greatest line amount. Aggregations are count, sum, mean, std (of a sample),
    min, max, last, share_true and n_unique;
    the transforms of a row hour, weekday (1 is Monday), is_weekend, discount_share, unit_price, is_discounted.
    Primitives are stacked ``params.depth`` deep; a parent's column, as ``items.category``, is read as a row's own. What
    adds up is also made of all line items at once (``line_items_mean_amount``). Tables that are not there give no
    columns. No column depends on the data: of categories there is how many, never one column for each.

    **Missing**: unknown values are left out of an aggregation. Counts, sums and numbers of different values are 0
    where there is nothing to sum up, also for a bill without line items; all others are null there, and std below two
    values. ``share_true`` is of the rows where it is known. ``last`` is the newest bill's value, known or not; of two
    bills of one moment the later number's. Categories are distinguished by a hash of 64 bits.

    **Exactness**: numbers are counted in whole millionths, so that mean and std inside another aggregation are rounded
    to six decimals; numbers of ten thousand million or more are left out. Sums are exact, and so the same in whatever
    order rows come, up to nine thousand million. Bills are distinguished by a hash of 64 bits, like categories.

    **Cost**: the rows are read once, whatever the number of moments, features and windows; one shuffle brings those of
    a user together. A worker holds all rows of its share of the users, some hundred bytes each. It sums line items up
    once, and once more those of bills that a moment knows in part; each moment and window costs a pass over its bills.
    The loops are compiled when a machine first needs them, some seconds; where nothing can be written, in each process.

    Reference: J. M. Kanter, K. Veeramachaneni, "Deep Feature Synthesis: Towards Automating Data Science Endeavors",
    IEEE DSAA 2015.
    """
    chosen = params or Params.model_validate({})
    tables = {"bills": bills, "line_items": line_items, "items": items, "stores": raw_stores}
    entities = frozenset({"users", *(name for name, frame in tables.items() if frame is not None)})
    features = synthesis(chosen.depth, chosen.windows_days, entities)
    return feature_table(features, bills, line_items, {"items": items, "stores": raw_stores}, as_of, zone)
