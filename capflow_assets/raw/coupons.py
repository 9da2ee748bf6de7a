"""Which items a coupon is good for: one row per coupon, campaign and item."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="coupon, campaign and item",
    columns=(
        Column("coupon_id", "string", "The coupon.", required=True),
        Column("campaign_id", "string", "The campaign that handed it out.", required=True),
        Column("item_id", "string", "An item that it is good for; null where it is good for all."),
    ),
)
