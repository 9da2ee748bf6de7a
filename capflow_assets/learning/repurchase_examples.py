"""What was bought again after past moments, as examples of the hazard of ``learning.repurchases``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.repurchase_rows import Purchases
from capflow_assets.learning.repurchases import Hazard, Waits, fit_hazard

LEAST_BOUGHT_AGAIN = 20


def learned_hazard(known: Sequence[Purchases], examples: Examples, horizon_days: int, seed: int) -> Hazard:
    """The laws of all pairs known at the moments: ``known`` has those of each moment of the examples.

    Raises:
        EvidenceError: fewer than twenty pairs were bought again.
    """
    rows = examples.outcomes
    parts: list[tuple[Waits, np.ndarray, np.ndarray]] = []
    for number, purchases in enumerate(known):
        is_event, days = np.zeros(len(purchases)), np.full(len(purchases), float(horizon_days))
        if rows is not None:
            of_moment = rows[rows["moment"] == number] if "moment" in rows.columns else rows
            place = purchases.places(of_moment.index.to_numpy(), of_moment["item_id"].to_numpy())
            is_event[place[place >= 0]] = 1.0
            days[place[place >= 0]] = np.minimum(of_moment["days"].to_numpy(dtype=float)[place >= 0], horizon_days)
        parts.append((purchases.waits, is_event, days))
    is_event, days = (np.concatenate([part[number] for part in parts]) for number in (1, 2))
    if is_event.sum() < LEAST_BOUGHT_AGAIN:
        raise EvidenceError(
            "There is no habit to learn from",
            expected=f"{LEAST_BOUGHT_AGAIN} pairs of a user and an item that were bought again in {horizon_days} days",
            came=f"{int(is_event.sum())} of {is_event.size:,}",
            do="wait for more history, or choose a longer horizon",
        )
    columns = zip(*(vars(part[0]).values() for part in parts), strict=True)
    return fit_hazard(Waits(*(np.concatenate(column) for column in columns)), is_event, days, seed)
