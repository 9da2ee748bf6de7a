"""What the customer ran to move its users: one row per campaign."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="campaign",
    columns=(
        Column("campaign_id", "string", "The campaign.", required=True),
        Column("name", "string", "Its name."),
        Column("kind", "string", "What kind of campaign it is, in the customer's words."),
        Column("starts_at", "timestamp", "When it begins.", required=True),
        Column("ends_at", "timestamp", "When it ends; null for one without an end."),
    ),
    key=("campaign_id",),
)
