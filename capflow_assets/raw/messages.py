"""Who was addressed by a campaign, and who was held out of it: one row per user, campaign and message."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="message, or user held out of a campaign",
    columns=(
        Column("campaign_id", "string", "The campaign that it belongs to.", required=True),
        Column("user_id", "string", "The user who was addressed or held out.", required=True, personal=True),
        Column("channel", "string", "How it was sent: email, push, sms, mail."),
        Column("sent_at", "timestamp", "When it was sent; for a control, when the others' was."),
        Column("opened_at", "timestamp", "When the user first opened it."),
        Column("clicked_at", "timestamp", "When the user first followed a link in it."),
        Column("is_control", "boolean", "True: held out by chance, nothing was sent."),
    ),
    time="sent_at",
)
