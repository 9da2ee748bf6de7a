"""What a customer's tills booked: one row per bill, returns included, as it landed."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="bill",
    columns=(
        Column("bill_id", "string", "The number of the bill, unique at this customer.", required=True),
        Column("user_id", "string", "The user who paid; null where nobody knows.", personal=True),
        Column("store_id", "string", "The store, or the web shop, where it was paid."),
        Column("billed_at", "timestamp", "When it was paid.", required=True),
        Column(
            "amount",
            "double",
            "What was paid, after discounts; negative for a return. May be left to the line items.",
            unit="currency",
        ),
        Column("discount", "double", "What was taken off the bill.", unit="currency"),
        Column("quantity", "double", "How many pieces (or litres, or kilos) were bought.", unit="pieces"),
    ),
    key=("bill_id",),
    time="billed_at",
)
