"""Pictures, recordings and texts that belong to an item or a user: one row per file; its bytes stay where they are."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="file",
    columns=(
        Column("media_id", "string", "The file, by an id that stays: its path below the folder.", required=True),
        Column("path", "string", "Where the file lies: an absolute path or an s3:// address.", required=True),
        Column("kind", "string", "What it is.", required=True, one_of=("image", "audio", "text", "other")),
        Column("media_type", "string", "What it is exactly, as the web names it: image/jpeg."),
        Column("size_bytes", "bigint", "Its size.", at_least=0, unit="bytes"),
        Column("sha256", "string", "The hash of its content: the same for two copies.", matches="^[0-9a-f]{64}$"),
        Column("item_id", "string", "The item that it shows or describes."),
        Column("user_id", "string", "The user whom it comes from or shows.", personal=True),
        Column("intent", "string", "What a caller wants in it, where the customer labelled that."),
        Column("speaker", "string", "Who speaks in it, by any id that stays; else it is the user."),
        Column("modified_at", "timestamp", "When the file was last written, a copy of it included."),
    ),
    key=("media_id",),
    open=True,
)
