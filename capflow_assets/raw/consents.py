"""What users have consented to, and what not: one row per user, channel, purpose and time of being asked."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="user, channel, purpose and time of being asked",
    columns=(
        Column("user_id", "string", "The user, by the same id as on the bills.", required=True, personal=True),
        Column("status", "string", "granted, denied or suppressed; any other word is no consent.", required=True),
        Column("channel", "string", "email, push, sms, mail; a denial without one is of all channels."),
        Column("purpose", "string", "What for, such as marketing; a denial without one is for all purposes."),
        Column("captured_at", "timestamp", "When the user said so; of several, the latest holds."),
        Column("captured_by", "string", "How it was said: a form, a till, a letter."),
        Column("valid_from", "timestamp", "From when on it holds; null means at once."),
        Column("valid_until", "timestamp", "Until when it holds; null means until another word."),
    ),
)
