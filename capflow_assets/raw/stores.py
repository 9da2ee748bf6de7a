"""The branches, the web shop among them: one row per place where a bill can be paid."""

from __future__ import annotations

from capflow_assets.contract import Column, Table

TABLE = Table(
    grain="store",
    columns=(
        Column("store_id", "string", "The store, by the same id as on the bills.", required=True),
        Column("name", "string", "Its name."),
        Column("city", "string", "The town where it stands."),
        Column("region", "string", "The region or state where it stands."),
        Column("latitude", "double", "North of the equator.", at_least=-90, at_most=90, unit="degrees"),
        Column("longitude", "double", "East of Greenwich.", at_least=-180, at_most=180, unit="degrees"),
    ),
    key=("store_id",),
    open=True,
)
