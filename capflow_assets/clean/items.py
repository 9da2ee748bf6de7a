"""The catalogue, conformed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.clean._conform import identifier, incomplete, name_doubles
from capflow_assets.contract import Column, Table

if TYPE_CHECKING:
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
    ),
    key=("item_id",),
    open=True,
)


def items(raw_items: DataFrame) -> DataFrame:
    """The items that can be bought, each once.

    **Grain**: one row per item, with the attributes that the customer adds. **Missing** attributes stay null; nothing
    is made up. **Set aside** (``removed_because``): ``no_item_id``; ``duplicate`` is a copy of another row;
    ``conflicting_duplicate`` has the id of another row and other values, of which the fullest stays.
    """
    frame = raw_items.withColumn("item_id", identifier("item_id"))
    return name_doubles(frame.withColumn("removed_because", incomplete({"item_id": "no_item_id"})), ["item_id"])
