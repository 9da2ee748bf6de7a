"""How often small brands ask for a retraining within half a year though nothing changed, and how soon one that did.

Forty brands of 100 to 300 users, scored every week and every night. A column was once over where its index was above
the threshold and above what chance alone exceeds one time in twenty, in one column; now chance is ruled out for the
number of columns and nights as well. Steady brands are as they were at the training; growing ones have a third of their
users still to come and lose others, so that some of what they ask for is real. From day 28 on a shifted brand's users
buy and pay three times as much.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

BRANDS, SEED = 40, 5000
ONCE = 0.05


def run() -> None:
    """Print how many brands ask, and the mean day of their first request, by each rule."""
    from capflow_assets_doubles.engines import sail_session
    from capflow_assets_doubles.simulated_brands import (
        HALF_A_YEAR,
        START,
        TRAINED,
        first_request,
        is_over,
        nights,
        steady_brands,
    )

    shift: dict[str, Any] = {"shift_on": START + timedelta(days=TRAINED + 28), "shift_factor": 3.0}
    growth: dict[str, Any] = {"opening_pct": 40, "a": 0.8, "b": 6.0}
    worlds = {"steady": {}, "growing": growth, "shifted": shift}
    with sail_session() as session:
        for name, dials in worlds.items():
            for every in (7, 1):
                days = range(every, HALF_A_YEAR + 1, every)
                brands = nights(session, steady_brands(BRANDS, SEED, **dials), days)
                before = [first_request(brand, as_it_was) for brand in brands]
                after = [first_request(brand, is_over) for brand in brands]
                over = [(as_it_was(night.drift), is_over(night.drift)) for brand in brands for night in brand]
                shares = [100 * sum(column) / len(over) for column in zip(*over, strict=True)]
                print(  # noqa: T201
                    f"drift: {name}, every {every} days: of {BRANDS} brands asked {in_words(before)} before, "
                    f"{in_words(after)} now; scorings over {shares[0]:.1f} % before, {shares[1]:.2f} % now"
                )


def as_it_was(drift: pd.DataFrame) -> bool:
    """The rule of the release before: each column by itself, one time in twenty."""
    from scipy.stats import chi2

    chance = chi2.ppf(1 - ONCE, drift["bins"] - 1) * (1 / drift["rows_then"] + 1 / drift["rows_now"])
    return bool(((drift["psi"] > 0.25) & (drift["psi"] > chance)).any())


def in_words(days: list[int | None]) -> str:
    """How many ask, and on which day in the mean."""
    request_days = [day for day in days if day is not None]
    return f"{len(request_days)} (day {sum(request_days) / len(request_days):.0f})" if request_days else "none"
