"""Simulated brands scored over half a year: what `purchase_propensity` reads, for all of them in one query a block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit

from capflow_assets.customers.retraining_settings import Retraining
from capflow_assets.features.rfm import rfm
from capflow_assets.features.rhythm import rhythm
from capflow_assets.models.purchase_propensity import MODEL
from capflow_assets.monitoring import observations, policy
from capflow_assets.monitoring.drift import psi, reference
from capflow_assets.simulation.brand import Brand, tiny
from capflow_assets.simulation.world import simulate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = tuple(column for block in MODEL.reads for column in block.columns)
HALF_A_YEAR = 182
TRAINED = 728
START = date(2024, 1, 1)
POLICY = Retraining()
# Nobody comes after the opening and hardly anybody leaves, so that two years later nothing changes but by chance.
STEADY: dict[str, Any] = {
    "days": TRAINED + HALF_A_YEAR,
    "opening_pct": 100,
    "campaigns": 0,
    "a": 0.02,
    "b": 20,
    "anonymous_pct": 0,
    "sends": ("bills",),
}


@dataclass(frozen=True, slots=True)
class Night:
    """One scoring: days after the training, and the drift of its columns."""

    day: int
    drift: pd.DataFrame


def steady_brands(count: int, seed: int, smallest: int = 100, largest: int = 300, **dials: Any) -> list[Brand]:
    """``count`` brands of ``smallest`` to ``largest`` users; ``dials`` go over those of a steady one."""
    sizes = np.linspace(smallest, largest, count).astype(int)
    return [
        tiny(f"brand{place}", seed=seed + place, users=int(users), **(STEADY | dials))
        for place, users in enumerate(sizes)
    ]


def nights(
    session: SparkSession, brands: Sequence[Brand], days: Sequence[int], trained: int = TRAINED
) -> list[list[Night]]:
    """The nights of each brand: its users ``days`` after a training held against those of the training's day.

    The training is ``trained`` days after the brand's start; ages are as they were then, as health has them.
    """
    states = _states(session, brands, (0, *days), trained)
    by_brand: list[list[Night]] = []
    for place in range(len(brands)):
        then = reference(states[place, 0])
        drifts = (
            psi(then, states[place, day].assign(tenure_days=states[place, day]["tenure_days"] - day)) for day in days
        )
        by_brand.append([Night(day, drift) for day, drift in zip(days, drifts, strict=True)])
    return by_brand


def is_over(drift: pd.DataFrame) -> bool:
    """Whether health calls a scoring over."""
    return bool(drift["over"].any())


def by_the_threshold_alone(drift: pd.DataFrame) -> bool:
    """Whether a scoring would be over if nothing were allowed for chance."""
    return bool((drift["psi"] > POLICY.psi).any())


def first_request(nights: Sequence[Night], rule: Callable[[pd.DataFrame], bool]) -> int | None:
    """The first day on which the default policy asks for a retraining, where ``rule`` says which scorings are over."""
    history: list[observations.Night] = []
    for night in nights:
        history.append(observations.Night(_moment(night.day), 1, 0.0, "any", rule(night.drift)))
        decision = policy.decide(history, policy.Rules(k=POLICY.k, n=POLICY.n))
        if decision is not None and decision.may_train:
            return night.day
    return None


def _states(
    session: SparkSession, brands: Sequence[Brand], days: Sequence[int], trained: int
) -> dict[tuple[int, int], pd.DataFrame]:
    """The features and a score of each brand's users, so many days after the training."""
    moments = [_moment(trained + day) for day in sorted(days)]
    bills = session.createDataFrame(pd.concat([_bills(place, brand) for place, brand in enumerate(brands)]))
    blocks = rfm(bills, moments, "UTC").join(rhythm(bills, moments, "UTC"), ["user_id", "as_of"])
    rows = blocks.selectExpr("user_id", "date_diff(as_of, date'2024-01-01') as on_day", *COLUMNS).toPandas()
    rows["place"] = rows["user_id"].str.split("|").str[0].astype(int)
    frames = {}
    for key, frame in rows.groupby(["place", "on_day"]):
        place, on_day = (int(part) for part in key)
        columns = frame[list(COLUMNS)].astype(float)
        frames[place, on_day - trained + 1] = columns.assign(score=_score(columns))
    return frames


def _moment(day: int) -> datetime:
    """The end of the last day before ``day``, counted from the start of the brands."""
    return datetime.combine(START, datetime.min.time(), tzinfo=UTC) + timedelta(days=day, microseconds=-1)


def _bills(place: int, brand: Brand) -> pd.DataFrame:
    bills = simulate(brand).bills.dropna(subset=["user_id"])
    return pd.DataFrame(
        {
            "user_id": f"{place}|" + bills["user_id"].astype(str),
            "billed_at": bills["billed_at"].astype("datetime64[us, UTC]"),
            "billed_on": bills["billed_at"].dt.date,
            "amount": bills["amount"],
        }
    )


def _score(columns: pd.DataFrame) -> pd.Series:
    """A chance to buy as a model could say it: the more visits of late and the less overdue, the higher."""
    waiting = columns["overdue_ratio"].fillna(columns["recency_days"] / 91)
    return pd.Series(expit(0.5 * columns["visits_91d"] - waiting), index=columns.index)
