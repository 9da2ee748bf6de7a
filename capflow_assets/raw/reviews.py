"""What users write of items and stores: one row per review."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="review",
    columns=(
        Column("review_id", "string", "The review.", required=True),
        Column("text", "string", "What was written."),
        Column("written_at", "timestamp", "When it was written; a review without a time was always known."),
        Column("item_id", "string", "The item that it is about."),
        Column("store_id", "string", "The store that it is about."),
        Column("user_id", "string", "The user who wrote it.", personal=True),
        Column("rating", "double", "The stars or points that were given, as the customer counts them."),
        Column("sentiment", "string", "What the customer labelled it, where somebody did: positive or negative."),
    ),
    key=("review_id",),
    time="written_at",
    open=True,
)
