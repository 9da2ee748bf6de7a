"""Ids on bills that mean nobody, and users with more bills than one person can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.errors import listed
from capflow_assets.expressions.ids import is_pseudonym
from capflow_assets.expressions.nobody import NOBODY, PERHAPS_NOBODY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TIMES_USUAL = 3
FEWEST_BILLS = 3
MANY_TIMES_USUAL = 10
# The users with the most bills: whoever stands for many people is one of them. Words are looked for among all.
LARGEST_USERS = 50
SHOWN = 5


def user_ids(bills: DataFrame, *, at_most_share_pct: float = 5.0) -> Finding:
    """Whether users on bills are users: no words that mean nobody, nobody with more than 5 % of all bills.

    That share is ``at_most_share_pct``; a user has it only with ten times as many bills as the others on average, so
    that a customer with a dozen users has none. ``NULL``, ``N/A``, ``-`` or ``guest`` are nobody wherever they stand;
    ``0``, ``99999999``, ``test`` and their like may be ids, and are named from three times as many bills as the
    others have on average. The ids that are named belong into ``not_a_user`` of the customer's TOML: bills then stay,
    as anonymous ones.
    """
    from pyspark.sql import functions as F

    users = bills.where("user_id is not null").groupBy("user_id").agg(F.count(F.lit(1)).alias("bills"))
    total, known = users.agg(F.coalesce(F.sum("bills"), F.lit(0)), F.count(F.lit(1))).collect()[0]
    words = F.col("user_id").rlike(f"^(?i:{NOBODY.pattern}|{PERHAPS_NOBODY.pattern})$")
    largest = users.orderBy(F.desc("bills"), "user_id").limit(LARGEST_USERS).collect()
    named = users.where(words).orderBy(F.desc("bills"), "user_id").limit(LARGEST_USERS).collect()
    nobodies = {
        row["user_id"]: row["bills"]
        for row in dict.fromkeys((*named, *largest))
        if _is_nobody(row["user_id"], row["bills"], total, known, at_most_share_pct)
    }
    shown = [
        f"{user} ({count:,} {'bill' if count == 1 else 'bills'})" for user, count in list(nobodies.items())[:SHOWN]
    ]
    in_clear = [user for user in list(nobodies)[:SHOWN] if not is_pseudonym(user)]
    has_hashes = len(in_clear) < min(len(nobodies), SHOWN)
    words_for = ", ".join([*(f'"{user}"' for user in in_clear), *(["…"] if has_hashes else [])])
    as_sent = ", each id as the source sends it, not its hash" if has_hashes else ""
    message = (
        f"{len(nobodies):,} of {known:,} users look like nobody, or like many: {listed(shown)}; if they are no users, "
        f"write not_a_user = [{words_for}] at the top of the TOML{as_sent}"
        if nobodies
        else f"none of {known:,} users looks like nobody, or like many"
    )
    of_nobody = sum(nobodies.values())
    share = 100 * of_nobody / total if total else 0.0
    return Finding(
        "user_ids",
        not nobodies,
        message,
        "warn",
        {"users": known, "nobodies": len(nobodies), "bills": of_nobody, "share_pct": round(share, 2)},
        tuple({"user_id": user, "bills": count} for user, count in list(nobodies.items())[:10]),
    )


def _is_nobody(user: str, bills: int, total: int, users: int, at_most_share_pct: float) -> bool:
    usual = (total - bills) / (users - 1) if users > 1 else total
    if NOBODY.fullmatch(user):
        return True
    if PERHAPS_NOBODY.fullmatch(user) and bills >= max(FEWEST_BILLS, TIMES_USUAL * usual):
        return True
    return bills > max(MANY_TIMES_USUAL * usual, at_most_share_pct * total / 100)
