"""The rows of a customer's bills, returns included, as they landed: one row per scan or per item, as the tills book.

Equal rows of a bill are as many purchases. With a ``line_no`` two rows of one number are one row that came twice.
"""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="row of a bill",
    columns=(
        Column("bill_id", "string", "The bill that the row stands on.", required=True),
        Column("item_id", "string", "The item that was bought.", required=True),
        Column("line_no", "bigint", "The row's own number on its bill; null where the customer numbers none."),
        Column("item_name", "string", "What the row calls the item; may be left to the catalogue."),
        Column("user_id", "string", "The user who paid; may be left to the bill.", personal=True),
        Column("store_id", "string", "The store where it was paid; may be left to the bill."),
        Column("billed_at", "timestamp", "When it was paid; may be left to the bill."),
        Column("quantity", "double", "How many pieces (or litres, or kilos); negative for a return.", True),
        Column("amount", "double", "What was paid for the row, after discounts; negative for a return.", True),
        Column("discount", "double", "What was taken off the row.", at_least=0),
    ),
    time="billed_at",
)
