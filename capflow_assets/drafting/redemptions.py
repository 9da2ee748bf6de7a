"""Coupons that were used: by whom, which, and when. Pure."""

from __future__ import annotations

from capflow_assets.drafting import words as w
from capflow_assets.drafting.export_columns import CAMPAIGNS, add_times, column_named, user_of
from capflow_assets.drafting.meanings import Meanings
from capflow_assets.drafting.parts import Guess, TableDraft
from capflow_assets.drafting.tables import drafted

NAMED = frozenset({"redemption", "redemptions", "redeemed", "redeem", "einloesungen"})
COUPONS = (
    "coupon_id coupon coupon_code coupon_upc voucher_id voucher voucher_code promo_code promotion_code discount_code "
    "gutschein gutschein_id gutscheincode"
)
REDEEMED = "redeemed_at redemption_date redemption_time redeemed_on redeemed used_at eingeloest_am"
TIMES = "timestamp datetime time created_at date used_on datum"


def likeness(meanings: Meanings) -> float:
    """Above 0 where a row is of a coupon and a user, and its name or a time says that it was used."""
    sample = meanings.sample
    is_named = bool(NAMED & set(w.tokens(sample.name)))
    time = column_named(sample, REDEEMED, ("time",)) or (is_named and column_named(sample, TIMES, ("time",)))
    has_all = bool(time) and bool(column_named(sample, COUPONS)) and user_of(meanings)[0] is not None
    return 1 if has_all and not sample.array else 0


def redemptions(meanings: Meanings, questions: list[str], *, by_email: bool) -> TableDraft | None:
    """The table of coupons that were used."""
    sample = meanings.sample
    user, hashed = user_of(meanings, by_email=by_email)
    if user is None:
        return None
    table = drafted("redemptions", sample)
    table.personal = hashed
    table.columns = {"user_id": user, "coupon_id": Guess(column_named(sample, COUPONS))}
    if campaign := column_named(sample, CAMPAIGNS):
        table.columns["campaign_id"] = Guess(campaign)
    add_times(table, sample, [("redeemed_at", column_named(sample, f"{REDEEMED} {TIMES}", ("time",)))], questions)
    return table
