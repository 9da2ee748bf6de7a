"""Bills that somebody at the till made wrong on purpose: too much taken off, or paid back to a card of a friend."""

from __future__ import annotations

import numpy as np
import pandas as pd

from capflow_assets.errors import CapflowError
from capflow_assets.simulation.brand import Brand
from capflow_assets.simulation.streams import stream

REFUNDS_OF_A_CARD = 6
LEAST_OFF, MOST_OFF = 0.6, 0.95


def plan(brand: Brand, bills: pd.DataFrame, is_free: np.ndarray) -> pd.DataFrame:
    """Which of the bills that are free of other dirt are frauds, one row per bill.

    Columns: share_off (of the full price, null where it is no fraud); paid_back_to (the card, null where it is none).

    Raises:
        CapflowError: the brand asks for more frauds than there are bills.
    """
    off = np.full(len(bills), np.nan)
    card = pd.Series(None, index=bills.index, dtype=object)
    if brand.discount_frauds or brand.refund_frauds:
        lots = stream(brand.seed, "frauds")
        sold = lots.permutation(np.flatnonzero(is_free & (bills["amount"] > 0) & bills["user_id"].notna()))
        if brand.discount_frauds + REFUNDS_OF_A_CARD * brand.refund_frauds > len(sold):
            raise CapflowError(
                f"The brand {brand.name!r} asks for more frauds than there are bills to commit them on",
                expected=f"at most {len(sold)} bills",
                came=f"{brand.discount_frauds} discounts, {brand.refund_frauds} times {REFUNDS_OF_A_CARD} refunds",
                do="ask for fewer, or for more users or days",
            )
        cheap, rest = np.split(sold, [brand.discount_frauds])
        off[cheap] = lots.uniform(LEAST_OFF, MOST_OFF, len(cheap))
        for place in rest[: brand.refund_frauds]:
            card[_next_in_store(bills, rest[card[rest].isna().to_numpy()], place)] = bills["user_id"].iloc[place]
    return pd.DataFrame({"share_off": off, "paid_back_to": card}, index=bills.index)


def _next_in_store(bills: pd.DataFrame, free: np.ndarray, place: int) -> np.ndarray:
    """The places of the next bills in the store of a bill, itself among them; bills stand in the order of time."""
    ordered = np.sort(free[free >= place])
    same = bills["store_id"].to_numpy()[ordered] == bills["store_id"].iloc[place]
    return np.asarray(ordered[same][:REFUNDS_OF_A_CARD])


def committed(bills: pd.DataFrame, line_items: pd.DataFrame, dirt: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Bills and line items with the frauds that ``plan`` planned."""
    planned = dirt.set_index("bill_id")[["share_off", "paid_back_to"]]
    if planned.isna().to_numpy().all():
        return {"bills": bills, "line_items": line_items}
    lines = line_items.copy()
    frauds = planned.reindex(lines["bill_id"]).reset_index(drop=True).set_index(lines.index)
    full = lines["amount"] + lines["discount"]
    off, card = (full * frauds["share_off"]).round(2), frauds["paid_back_to"]
    lines["discount"] = off.where(off.notna(), lines["discount"])
    lines["amount"] = (full - off).round(2).where(off.notna(), lines["amount"])
    for name in ("quantity", "amount"):
        lines[name] = lines[name].where(card.isna(), -lines[name].abs())
    lines["discount"] = lines["discount"].where(card.isna(), 0.0)
    lines["user_id"] = card.where(card.notna(), lines["user_id"])
    heads, touched = bills.copy(), planned[planned.notna().any(axis=1)].index
    sums = lines.groupby("bill_id")[["amount", "discount", "quantity"]].sum().round(2)
    is_touched = heads["bill_id"].isin(touched)
    for name in sums.columns:
        heads[name] = heads[name].where(~is_touched, heads["bill_id"].map(sums[name]))
    cards = heads["bill_id"].map(planned["paid_back_to"])
    heads["user_id"] = cards.where(cards.notna(), heads["user_id"])
    return {"bills": heads, "line_items": lines}
