"""In which stage of a customer's life each user is: new, active, returned, slowing, lapsing or lost.

Rules by the user's own rhythm (``learning.lifecycle``). What they mean is learned from past moments: of the users of a
stage, told apart by how long they waited and how often they usually come, how many came in the horizon, which is the
score; and in which stage they were a moment later.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from capflow_assets.contract import Answer, Candidate, Column, Horizon, Model, Needs, Outcome, Reads, Rule
from capflow_assets.learning.lifecycle_estimators import ACTIVE, LifecycleStage, RecencyAlone
from capflow_assets.learning.metrics import roc_auc

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

RFM, RHYTHM = ("recency_days", "visits"), ("gap_days_avg", "gap_days_last", "gap_days_recent_avg")


class LifecycleStageParams(Horizon):
    """What a person may set for the stages."""

    moments: int = Field(6, ge=2, le=24, description="How many past as-of moments make the examples.")


def outcome(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Who came in the horizon.

    One row per known user with a visit in ``(start, end]``: ``user_id``, ``is_active`` (always 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.learning.outcomes import example_key, visits_within

    return visits_within(bills, start, end).select(*example_key(bills)).distinct().withColumn(ACTIVE, F.lit(1))


def calibration(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Expected calibration error of the chances beyond what chance alone would show."""
    from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error

    observed, chances = outcomes[ACTIVE], answers["score"]
    return max(0.0, expected_calibration_error(observed, chances) - calibration_error_by_chance(observed, chances))


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The users of each stage, and the share of them who came in the horizon."""
    from capflow_assets.learning.lifecycle import stage_plot

    return stage_plot(answers["stage"].to_numpy(), outcomes[ACTIVE].to_numpy(dtype=float) > 0)


MODEL = Model(
    question="In which stage is each user: new, active, returned, slowing, lapsing or lost?",
    family="segments",
    needs=Needs(tables=("clean/bills",), history_days=90, users=100, positives=50, evidence={"negatives": 30}),
    reads=(Reads("features/rfm", RFM), Reads("features/rhythm", RHYTHM)),
    outcome=Outcome(outcome, (ACTIVE,)),
    answer=Answer(
        columns=(
            Column("stage", "string", "The stage that the user is in.", required=True),
            Column("likely_stage", "string", "The likeliest stage a horizon later.", required=True),
        )
    ),
    objective="segment",
    params=LifecycleStageParams,
    candidates=(
        Candidate("stages by own rhythm", LifecycleStage),
        Candidate("recency alone", RecencyAlone, is_baseline=True),
    ),
    metric=roc_auc(ACTIVE),
    rules=(Rule("calibrated", calibration, "its calibration error", at_most=0.05),),
    plot=plot,
)
