"""Coupons that were used: one row each time."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="use of a coupon",
    columns=(
        Column("user_id", "string", "The user who used it.", required=True, personal=True),
        Column("coupon_id", "string", "The coupon.", required=True),
        Column("campaign_id", "string", "The campaign that handed it out."),
        Column("redeemed_at", "timestamp", "When it was used.", required=True),
    ),
    time="redeemed_at",
)
