"""Items, conformed: the list of what can be bought."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from capflow_assets.contract import EXPORT, Column, Table
from capflow_assets.expressions.exports import REPLACED, latest_of_key
from capflow_assets.expressions.ids import identifier
from capflow_assets.expressions.optional_columns import optional
from capflow_assets.expressions.removals import incomplete, name_doubles

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="item",
    columns=(
        Column("item_id", "string", "The item.", required=True),
        Column("name", "string", "Its name, as a shopper reads it."),
        Column("description", "string", "What it is, in a sentence or more."),
        Column("department", "string", "The widest group that it belongs to."),
        Column("category", "string", "The group inside the department."),
        Column("subcategory", "string", "The group inside the category."),
        Column("brand", "string", "Its brand."),
        Column("own_brand", "boolean", "Whether the brand is the customer's own."),
        Column("price", "double", "The price of one piece before discounts.", at_least=0, unit="currency"),
        Column("size", "string", "Its size or weight, as printed."),
        Column("is_item", "boolean", "Whether it is goods; false for postage, fees and the like; null means it is."),
        Column("flags", "string", "What is odd about the item, separated by commas; empty if nothing.", required=True),
    ),
    key=("item_id",),
    open=True,
    # The list may be what every line item calls its item.
    harmless_removals=("duplicate", *REPLACED),
    removal_reason="removed_because",
    flags="flags",
)


def items(raw_items: DataFrame) -> DataFrame:
    """The items that can be bought, each once.

    **Grain**: one row per item, with the attributes that the customer adds. **Missing** attributes stay null; nothing
    is made up.

    **Flags** (the item stays): ``several_descriptions`` where rows of the item differ in name or description;
    ``not_an_item`` where any of them says so (``is_item``).

    **Set aside** (``removed_because``): ``no_item_id``; ``duplicate`` is a copy of another row;
    ``conflicting_duplicate`` has the id of another row and other values, of which the fullest stays, of equally full
    ones that of the name that is given most often. Bills that name their items can so serve as the list. Of
    several exports that have the item the latest holds: ``repeated_export`` where that has the same row, else
    ``earlier_export``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = raw_items.withColumn("item_id", identifier("item_id"))
    rows = rows.withColumn("is_item", optional(rows, "is_item", "boolean"))
    named = F.count(F.lit(1)).over(Window.partitionBy("item_id", "name"))
    frame = rows.withColumn("removed_because", incomplete({"item_id": "no_item_id"}))
    frame = latest_of_key(frame, ["item_id"]).withColumn("_named", named)
    frame = name_doubles(frame, ["item_id"], then=[F.col("_named").desc()]).drop("_named")
    added = [name for name in raw_items.columns if name not in (*TABLE.names, EXPORT)]
    return frame.withColumn("flags", _flags()).select(*TABLE.names, *added, "removed_because")


def _flags() -> Expression:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    item = Window.partitionBy("item_id")
    differ = (F.min(name).over(item) != F.max(name).over(item) for name in ("name", "description"))
    odd = {
        "several_descriptions": reduce(or_, (F.coalesce(is_different, F.lit(False)) for is_different in differ)),
        "not_an_item": F.max((~F.col("is_item")).cast("int")).over(item) == 1,
    }
    has_id = F.col("item_id").isNotNull()
    return F.concat_ws(",", *(F.when(has_id & condition, F.lit(name)) for name, condition in odd.items()))
