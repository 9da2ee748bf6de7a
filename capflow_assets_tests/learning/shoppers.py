"""Examples of several moments whose law is known: what drives the chance to buy, and what only seems to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.learning.moments import together

BEGIN = datetime(2024, 1, 1, 9, tzinfo=UTC)


def shoppers(
    users: int = 1500, moments: int = 4, noise: int = 10, seed: int = 0, fading: float = 1.0, odds: float = -1.0
) -> Examples:
    """The log-odds to buy within 30 days are ``odds + 1.2 rate + 0.8 taste``, at the oldest moment also ``fading`` fad.

    Beside these stand ``rate_copy`` (a logarithm of ``rate``, which orders alike), ``taste_blurred`` (half noise),
    ``steady`` (the same for all) and so many columns of noise.
    """
    random = np.random.default_rng(seed)
    parts = []
    for place in range(moments):
        columns = pd.DataFrame(
            {
                "rate": random.normal(size=users),
                "taste": random.normal(size=users),
                "fad": random.normal(size=users),
                "steady": np.ones(users),
                **{f"noise_{number}": random.normal(size=users) for number in range(noise)},
            },
            index=pd.Index([f"u{number:05d}" for number in range(users)], name="user_id"),
        )
        columns["rate_copy"] = np.log(5 + columns["rate"])
        columns["taste_blurred"] = columns["taste"] + random.normal(size=users)
        drive = odds + 1.2 * columns["rate"] + 0.8 * columns["taste"] + fading * (place == 0) * columns["fad"]
        bought = (random.random(users) < 1 / (1 + np.exp(-drive))).astype(float)
        outcomes = pd.DataFrame({"bought": bought}, index=columns.index)
        parts.append(Examples(columns, outcomes, moments=(BEGIN + timedelta(days=30 * place),)))
    return together(parts)
