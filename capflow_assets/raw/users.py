"""The users that a customer knows by name or card: one row per user, with whatever attributes the customer keeps."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="user",
    columns=(
        Column("user_id", "string", "The user, by the same id as on the bills.", required=True, personal=True),
        Column("joined_at", "timestamp", "When the user joined; null means known from the start."),
    ),
    key=("user_id",),
    time="joined_at",
    open=True,
)
