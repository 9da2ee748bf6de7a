"""Users, conformed: those whom the customer lists, and those who are only seen on bills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.errors import TableError
from capflow_assets.expressions.exports import REPLACED, latest_of_key
from capflow_assets.expressions.ids import identifier
from capflow_assets.expressions.removals import incomplete, name_doubles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="user",
    columns=(
        Column("user_id", "string", "The user.", required=True, personal=True),
        Column("joined_at", "timestamp", "When the user joined; null where the customer does not say."),
        Column("known_since", "timestamp", "From when on the row may be read; null means always."),
        Column("is_listed", "boolean", "Whether the customer's list of users has the user.", required=True),
    ),
    key=("user_id",),
    time="known_since",
    open=True,
    # A list may be what every order says of its user.
    harmless_removals=("duplicate", *REPLACED),
    removal_reason="removed_because",
)


def users(raw_users: DataFrame | None = None, bills: DataFrame | None = None) -> DataFrame:
    """Everybody who is listed as a user or was seen on a bill, each once.

    **Grain**: one row per user, with the attributes that the customer's list adds (null for users who are not listed).

    **known_since** keeps the future out: a listed user is known since joining (always, where the list has no date), any
    other since the first bill. Taking the first bill for listed users too would tell who is going to buy.

    **Set aside** (``removed_because``): ``no_user_id``; ``duplicate`` is a copy of another row of the list;
    ``conflicting_duplicate`` has the id of another row and other values, of which the fullest stays. Of several exports
    that have the user the latest holds: ``repeated_export`` where that has the same row, else ``earlier_export``.

    Raises:
        TableError: neither a list of users nor bills were given.
    """
    from pyspark.sql import functions as F

    listed = None if raw_users is None else _listed(raw_users)
    if bills is None:
        if listed is None:
            raise TableError("There is nothing to make users from", expected="raw/users or clean/bills")
        return _in_order(listed)
    seen = bills.filter(F.col("user_id").isNotNull()).groupBy("user_id").agg(F.min("billed_at").alias("known_since"))
    seen = seen.withColumn("is_listed", F.lit(False))
    if listed is None:
        empty = (F.lit(None).cast(kind).alias(name) for name, kind in _UNLISTED.items())
        return _in_order(seen.select("*", *empty))
    others = seen.join(listed.select("user_id").filter("user_id is not null"), "user_id", "left_anti")
    return _in_order(listed.unionByName(others, allowMissingColumns=True))


_UNLISTED = {"joined_at": "timestamp", "removed_because": "string"}


def _listed(raw_users: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    frame = raw_users.withColumn("user_id", identifier("user_id"))
    frame = frame.withColumn("removed_because", incomplete({"user_id": "no_user_id"}))
    frame = name_doubles(latest_of_key(frame, ["user_id"]), ["user_id"])
    return frame.withColumn("known_since", F.col("joined_at")).withColumn("is_listed", F.lit(True))


def _in_order(frame: DataFrame) -> DataFrame:
    added = [name for name in frame.columns if name not in (*TABLE.names, "removed_because")]
    return frame.select(*TABLE.names, *added, "removed_because")
