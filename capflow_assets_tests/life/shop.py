"""A shop of 41 users whose bills were written by hand, and a model of them whose figures can be counted by hand.

``AS_OF`` is the evening of 30 June. Regulars (u20 to u39) have a bill of 5 January and one on the 10th of each month
since. The others (u00 to u19) have that of 5 January alone; five of them (u00 to u04) come back on 15 June, and u40
comes first then. So as of 31 May, 30 days earlier, 40 users are known: 20 with 5 visits before, who all come in June,
and 20 with one, of whom 5 do.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.contract import Candidate, Examples, Horizon, Model, Needs, Outcome, Reads, Rule
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.graph.engine import Engine
from capflow_assets.home.places import Home
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.life.examples import ExampleReader
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SHOP, MODEL = "shop", "regulars"
AS_OF = datetime(2024, 6, 30, 20, tzinfo=UTC)
TEST_MOMENT = datetime(2024, 5, 31, 20, tzinfo=UTC)
TRAIN_MOMENT = datetime(2024, 5, 1, 20, tzinfo=UTC)
TOML = """
name = "shop"
vertical = "footwear"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "s3://shop/bills.csv"
columns = { bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }
"""


class RegularsParams(Horizon):
    """What a test may set."""

    moments: int = Field(2, ge=1, le=24, description="How many past as-of moments make the examples.")
    sign: int = Field(1, description="-1 scores the other way round.")


class Visits:
    """Scores users by their number of visits."""

    def __init__(self, params: RegularsParams) -> None:
        self.params = params
        self.users = 0

    def fit(self, examples: Examples) -> Visits:
        self.users = len(examples)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        score = examples.columns["visits"].astype(float) * self.params.sign
        return pd.DataFrame({"score": score, "reasons": "visits", "is_known": True}, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        return {"users": self.users}


class Nothing(Visits):
    """The baseline: all users alike."""

    def predict(self, examples: Examples) -> pd.DataFrame:
        return super().predict(examples).assign(score=0.0)


def bought(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Whether a user comes in the horizon."""
    from pyspark.sql import functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    return visits_within(bills, start, end).groupBy(*example_key(bills)).agg(F.lit(1.0).alias("bought"))


REGULARS = Model(
    question="Who comes?",
    family="test",
    needs=Needs(tables=("clean/bills",), history_days=60, users=30, positives=10),
    reads=(Reads("features/rfm", ("visits",)),),
    outcome=Outcome(bought, ("bought",)),
    params=RegularsParams,
    candidates=(Candidate("visits", Visits), Candidate("all alike", Nothing, is_baseline=True)),
    metric=roc_auc("bought"),
    rules=(Rule("calibrated", lambda outcomes, answers: 0.01, "its calibration error", at_most=0.05),),
)


def deployment(root: Path, model: Model = REGULARS) -> Deployment:
    """The shop's home, opened with ``model`` as the only one."""
    spec = STAGES.model("rfm_segments")
    outcome = replace(spec.outcome, function=model.outcome.compute)
    spec = replace(spec, name=MODEL, model=model, module=sys.modules[__name__], outcome=outcome)
    return Deployment(Home.of(root, {}), replace(STAGES, models={MODEL: spec}), SOURCES, Engine())


def reader(place: Deployment) -> ExampleReader:
    """Reads the examples of the shop's model."""
    return ExampleReader(place.lake, place.stages, place.customer(SHOP), place.stages.model(MODEL))


def write_shop(root: Path, spark: SparkSession) -> None:
    """Make the home, with the bills in its lake."""
    (root / "customers").mkdir(parents=True)
    (root / "customers" / f"{SHOP}.toml").write_text(TOML)
    frame = frame_of(spark, BILLS, [{"bill_id": f"b{number}", **bill} for number, bill in enumerate(_bills())])
    place = deployment(root)
    place.lake.write(frame, SHOP, "clean/bills")
    assert place.registry.models(SHOP) == [], "MLflow's database takes seconds to be made; it is copied along"


def _bills() -> list[dict[str, Any]]:
    bills = [_bill(f"u{number:02}", 1, 5) for number in range(40)]
    bills += [_bill(f"u{number:02}", month, 10) for number in range(20, 40) for month in range(2, 7)]
    bills += [_bill(user, 6, 15) for user in ("u00", "u01", "u02", "u03", "u04", "u40")]
    return [*bills, _bill(None, 6, 30)]


def _bill(user: str | None, month: int, day: int) -> dict[str, Any]:
    at = datetime(2024, month, day, 12, tzinfo=UTC)
    return {
        "user_id": user,
        "billed_at": at,
        "billed_on": at.date(),
        "amount": 10.0,
        "is_return": False,
        "is_anonymous": user is None,
    }
