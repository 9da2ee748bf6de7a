"""The catalogue: one row per item that can be bought, with whatever further attributes the customer keeps."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="item",
    columns=(
        Column("item_id", "string", "The item, by the same id as on the rows of the bills.", required=True),
        Column("name", "string", "Its name, as a shopper reads it."),
        Column("description", "string", "What it is, in a sentence or more."),
        Column("department", "string", "The widest group that it belongs to."),
        Column("category", "string", "The group inside the department."),
        Column("subcategory", "string", "The group inside the category."),
        Column("brand", "string", "Its brand."),
        Column("own_brand", "boolean", "Whether the brand is the customer's own."),
        Column("price", "double", "The price of one piece before discounts.", at_least=0, unit="currency"),
        Column("size", "string", "Its size or weight, as printed: 500 g, 6 x 0.33 l."),
        Column("is_item", "boolean", "Whether it is goods; false for postage, fees and the like; null means it is."),
    ),
    key=("item_id",),
    open=True,
)
