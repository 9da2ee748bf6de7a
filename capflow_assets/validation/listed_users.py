"""Users on bills held against the customer's list of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.errors import listed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHOWN = 3


def listed_users(users: DataFrame, raw_users: DataFrame, *, at_most_share_pct: float = 5.0) -> Finding:
    """Whether the users on bills are on the customer's list: at most 5 % (``at_most_share_pct``) may be missing there.

    Many that are missing mean that the two write ids in different ways, or that the list is an old one. It is checked
    where there is a list, on the cleaned users (``is_listed``).
    """
    from pyspark.sql import functions as F

    total, unlisted = users.agg(F.count(F.lit(1)), F.count_if(~F.col("is_listed"))).collect()[0]
    share_pct = 100 * unlisted / total if total else 0.0
    is_too_many = share_pct > at_most_share_pct
    missing = _some(users.where(~F.col("is_listed"))) if is_too_many else []
    examples = f", such as {listed(missing)}; {_listed_are(_some(raw_users))}" if is_too_many else ""
    return Finding(
        "listed_users",
        not is_too_many,
        f"{unlisted:,} of {total:,} users ({share_pct:.2f} %) stand on bills and not on the list of users{examples}; "
        f"at most {at_most_share_pct:g} % may",
        "warn",
        {"users": total, "unlisted": unlisted, "share_pct": share_pct},
        tuple({"user_id": user} for user in missing),
    )


def _listed_are(users: list[str]) -> str:
    return f"listed are such as {listed(users)}" if users else "nobody is listed"


def _some(users: DataFrame) -> list[str]:
    return [row[0] for row in users.select("user_id").orderBy("user_id").limit(SHOWN).collect()]
