"""A new version of a model, trained or recalibrated, with what it brought kept in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from capflow_assets.contract import Horizon
from capflow_assets.deployment import Deployment
from capflow_assets.life import retrainings
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.recalibration import recalibrate
from capflow_assets.life.training import NotReady, Trained, train
from capflow_assets.life.training_answers import TrainingAnswers


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a version is made, and why: the cause of the retraining policy, or by hand."""

    action: Literal["retrain", "recalibrate"] = "retrain"
    cause: str = retrainings.BY_HAND


def renew(
    deployment: Deployment,
    reader: ExampleReader,
    params: Horizon,
    as_of: datetime,
    renewal: Renewal,
    kept: TrainingAnswers | None = None,
) -> Trained | NotReady:
    """Train or recalibrate a model as of a moment, register it, and add it to the ledger.

    The answers of a training are ``kept`` for a scoring that follows.

    Raises:
        EvidenceError: the needs are met, and there is too little to learn from or to judge by all the same.
        TableError: the ledger is damaged; the version is registered.
    """
    if renewal.action == "recalibrate":
        result = recalibrate(deployment, reader, params, as_of)
    else:
        result = train(deployment, reader, params, as_of, kept)
    if isinstance(result, Trained):
        retrainings.keep(deployment, result.report, result.version, renewal.cause, renewal.action)
    return result
