"""What is unusual about a bill: its figures beside those that are usual in its store and of its user.

A deviation is a robust z-score of a logarithm, ``(v - median) / scale``, with the scale that a normal distribution of
the same quartiles or of the same middle 90 % has, whichever is larger (Rousseeuw & Hubert 2011): one absurd bill
changes nothing that is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FIGURES = ("amount", "quantity", "price", "line_items", "per_line", "discount")
TRAITS = (*FIGURES, "own_amount", "refunds")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
LEAST_BILLS, LEAST_OWN_BILLS = 100, 5
LEAST_SCALE = 0.1
REFUND_STEP = 3.0
LARGEST_Z = 1e6
USUAL_DAYS, REFUND_DAYS = 364, 30
WORDS = {
    "amount": ("paid {:,.2f}", "{:,.2f} to {:,.2f} is usual"),
    "quantity": ("quantity {:,.4g}", "{:,.4g} to {:,.4g} are usual"),
    "price": ("{:,.2f} a piece", "{:,.2f} to {:,.2f} is usual"),
    "line_items": ("{:,.0f} line items", "{:,.0f} to {:,.0f} are usual"),
    "per_line": ("{:,.4g} pieces a line item", "{:,.4g} to {:,.4g} are usual"),
    "discount": ("{:.0%} off", "{:.0%} to {:.0%} is usual"),
}


@dataclass(frozen=True)
class Usual:
    """What is usual as of a moment: percentiles of the figures by store, each user's median, and who brought back.

    ``stores`` has a row per store (and "", for all) and percentile, and the figures; ``users`` the median of the
    logarithm of a user's amounts and how many there are; ``refunds`` the bills brought back by each user lately.
    """

    stores: pd.DataFrame
    users: pd.DataFrame
    refunds: pd.Series


def usual_of(bills: pd.DataFrame) -> Usual:
    """What is usual of all bills that are known, of the last year."""
    newest = bills["billed_at"].max()
    recent = bills[bills["billed_at"] > newest - pd.Timedelta(days=USUAL_DAYS)] if len(bills) else bills
    figures = _figures(recent)
    store = recent["store_id"].fillna("").astype(str).to_numpy()
    counts = pd.Series(store).map(pd.Series(store).value_counts()).to_numpy()
    is_enough = (counts >= LEAST_BILLS) & (store != "")
    labelled = pd.concat([figures[is_enough].assign(store=store[is_enough]), figures.assign(store="")])
    stores = pd.DataFrame(labelled.groupby("store")[list(FIGURES)].quantile(np.array(LEVELS)))
    own = figures["amount"].groupby(recent["user_id"].to_numpy()).agg(["median", "size"])
    is_refund = recent["is_return"].astype(bool) & (recent["billed_at"] > newest - pd.Timedelta(days=REFUND_DAYS))
    return Usual(stores, own, recent.loc[is_refund, "user_id"].value_counts())


def traits_of(bills: pd.DataFrame, usual: Usual) -> pd.DataFrame:
    """The deviations of each bill, one column per trait; 0 where a figure is not known.

    ``own_amount`` holds the amount against the user's median (of five bills at least), ``refunds``, of a bill that is
    brought back, how many more the user brought back within thirty days, three for each.
    """
    figures = _figures(bills)
    low, first, middle, third, high = (_of_store(bills, usual, level)[list(FIGURES)].to_numpy() for level in LEVELS)
    scale = np.maximum(np.maximum((third - first) / 1.349, (high - low) / 3.29), LEAST_SCALE)
    z = (figures[list(FIGURES)].to_numpy() - middle) / scale
    traits = pd.DataFrame(z, index=bills.index, columns=list(FIGURES))
    own = usual.users.reindex(bills["user_id"])
    off = (figures["amount"].to_numpy() - own["median"].to_numpy()) / scale[:, 0]
    traits["own_amount"] = np.where(own["size"].to_numpy() >= LEAST_OWN_BILLS, off, 0.0)
    # A bill that was made a refund counts besides those that are known.
    count = usual.refunds.reindex(bills["user_id"]).fillna(0.0).to_numpy() + bills.get("more_refunds", 0.0)
    traits["refunds"] = np.where(bills["is_return"].astype(bool), REFUND_STEP * np.maximum(count - 1, 0.0), 0.0)
    return traits.replace([np.inf, -np.inf], np.nan).fillna(0.0).clip(-LARGEST_Z, LARGEST_Z)


def disturbed(bills: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The bills, each made wrong in one way that its number and the seed decide.

    One line item has 3 to 300 times its quantity; or the bill's price is as many times too high or too low; or 60 to
    95 % are taken off; or it is brought back, with three to ten others of the user.
    """
    kind, size, side = (_draws(bills, f"{name}{seed}") for name in ("kind", "size", "side"))
    kind = np.floor(kind * 4)
    kind = np.where((kind == 2) & bills["discount"].isna().to_numpy(), 1, kind)
    times = 3 * 100**size
    wrong = bills.copy()
    amount, pieces = (bills[name].fillna(0.0).to_numpy(dtype=float) for name in ("amount", "quantity"))
    share = (times - 1) / np.maximum(bills["line_items"].fillna(1.0).to_numpy(dtype=float), 1.0)
    full = amount + bills["discount"].fillna(0.0).to_numpy(dtype=float)
    off = full * (0.6 + 0.35 * size)
    price = np.where(side < 0.5, times, 1 / times)
    wrong["quantity"] = np.select([kind == 0, kind == 3], [pieces * (1 + share), -np.abs(pieces)], pieces)
    wrong["amount"] = np.select(
        [kind == 0, kind == 1, kind == 2], [amount * (1 + share), amount * price, full - off], -np.abs(amount)
    )
    wrong["discount"] = np.where(kind == 2, off, bills["discount"].to_numpy(dtype=float))
    wrong["is_return"] = bills["is_return"].astype(bool).to_numpy() | (kind == 3)
    return wrong.assign(more_refunds=np.where(kind == 3, np.floor(4 + 7 * size), 0.0))


def reasons_of(bills: pd.DataFrame, traits: pd.DataFrame, usual: Usual, top: int = 3, least: float = 3.0) -> list[str]:
    """In words what deviates most, each with what is usual; "as usual in this store" where nothing deviates by 3."""
    parts = np.full((len(bills), len(TRAITS)), "", dtype=object)
    z = np.abs(traits[list(TRAITS)].to_numpy())
    figures, where = _plain(bills), np.where(bills["store_id"].isna(), "", " in this store")
    ends = [_plain_ends(_of_store(bills, usual, level)) for level in (LEVELS[0], LEVELS[-1])]
    is_told = z >= least
    for place, name in enumerate(FIGURES):
        what, usually = WORDS[name]
        for row in np.flatnonzero(is_told[:, place]):
            span = usually.format(ends[0][name].iloc[row], ends[1][name].iloc[row])
            parts[row, place] = f"{what.format(figures[name].iloc[row])} where {span}{where[row]}"
    own = np.exp(usual.users["median"].reindex(bills["user_id"]).to_numpy())
    for row in np.flatnonzero(is_told[:, len(FIGURES)]):
        parts[row, -2] = f"the user usually pays {own[row]:,.2f}"
    count = usual.refunds.reindex(bills["user_id"]).fillna(0.0).to_numpy()
    for row in np.flatnonzero(is_told[:, -1]):
        parts[row, -1] = f"{count[row]:.0f} bills brought back by the user within {REFUND_DAYS} days"
    ordered = np.take_along_axis(parts, np.argsort(-z, axis=1, kind="stable"), axis=1)
    texts = ["; ".join([part for part in row if part][:top]) for row in ordered]
    return [text or f"as usual{place}" for text, place in zip(texts, where, strict=True)]


def _figures(bills: pd.DataFrame) -> pd.DataFrame:
    """The figures as logarithms, the discount as a share; NaN where they are not known."""
    plain = _plain(bills)
    with np.errstate(divide="ignore"):
        logs = plain.drop(columns="discount").clip(lower=0.0).apply(np.log)
    return logs.assign(discount=plain["discount"]).replace([np.inf, -np.inf], np.nan)


def _plain(bills: pd.DataFrame) -> pd.DataFrame:
    amount, quantity = (bills[name].astype(float).abs() for name in ("amount", "quantity"))
    lines, discount = (bills[name].astype(float) for name in ("line_items", "discount"))
    lines, full = lines.where(lines > 0), amount + discount
    return pd.DataFrame(
        {
            "amount": amount,
            "quantity": quantity,
            "price": amount / quantity.where(quantity > 0),
            "line_items": lines,
            "per_line": quantity / lines,
            "discount": (discount / full.where(full > 0)).where(~bills["is_return"].astype(bool)),
        }
    )


def _of_store(bills: pd.DataFrame, usual: Usual, level: float) -> pd.DataFrame:
    """A percentile of each figure in each bill's store; of all bills where the store has few."""
    store = bills["store_id"].fillna("").astype(str)
    known = pd.DataFrame(usual.stores.xs(level, level=1))
    rows = known.reindex(np.where(store.isin(known.index), store, ""))
    return pd.DataFrame(rows.to_numpy(), index=bills.index, columns=known.columns)


def _plain_ends(ends: pd.DataFrame) -> pd.DataFrame:
    return ends.drop(columns="discount").apply(np.exp).assign(discount=ends["discount"])


def _draws(bills: pd.DataFrame, name: str) -> np.ndarray:
    """A number from 0 to 1 for each bill, by its number and a name."""
    keys = bills.index.astype(str).to_numpy(dtype=object)
    hashed = pd.util.hash_array(keys, hash_key=f"{name:0<16}"[:16], categorize=False)
    return np.asarray(hashed / 2.0**64)
