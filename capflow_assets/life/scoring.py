"""Predictions by the champion: one row per user, with what a person who acts on them wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Finding, Model, Table
from capflow_assets.deployment import Deployment
from capflow_assets.life.examples import Examples
from capflow_assets.life.reference import TrainingPopulation, skew_finding
from capflow_assets.life.scoring_version import load_scoring_version

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = Table(
    grain="user known at the as-of moment",
    key=("user_id",),
    open=True,
    columns=(
        Column("user_id", "string", "The shopper.", required=True),
        Column("score", "double", "The model's answer; higher means more of what the model asks about."),
        Column("percentile", "double", "Share of users with this score or less.", at_least=0, at_most=100, unit="%"),
        Column("decile", "int", "Tenth of the users by score, 10 the highest.", at_least=1, at_most=10),
        Column("band", "string", "The decile in words."),
        Column("reasons", "string", "What moved the score most, in words."),
        Column("model_version", "int", "Version of the champion that scored.", required=True),
        Column("as_of", "timestamp", "Nothing after this moment was read.", required=True),
    ),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of one customer and model. ``version`` is None where skew kept them from being written.

    ``champion`` is the version that scored; ``warning`` says why, where it is not the champion.
    """

    frame: pd.DataFrame
    features: pd.DataFrame
    champion: int
    version: int | None
    as_of: datetime
    population: TrainingPopulation
    skew: Finding
    warning: str = ""


def score(deployment: Deployment, examples: Examples, as_of: datetime) -> Scored | None:
    """Score every user known at the moment with the champion and replace the table; None without a champion.

    Where the champion's files are broken, the champion before it scores, see ``scoring_version``.

    First the features are compared with those that the champion was trained on. Where their skew blocks, the last good
    predictions stay, and those that were not written are returned all the same: drift is measured on them.
    """
    customer, name, model = examples.customer.name, examples.spec.name, examples.spec.model
    loaded = load_scoring_version(deployment, examples)
    if loaded is None:
        return None
    champion, population, warning = loaded.version, loaded.population, loaded.warning
    features = examples.features(as_of)
    skew = skew_finding(examples, population, features, as_of)
    frame = predictions(model, loaded.estimator.predict(features), champion, as_of)
    if skew.severity == "block" and not skew.passed:
        return Scored(frame, features, champion, None, as_of, population, skew, warning)
    session = deployment.lake.spark()
    version = deployment.lake.write(session.createDataFrame(frame, schema=ddl(frame)), customer, f"predictions/{name}")
    return Scored(frame, features, champion, version, as_of, population, skew, warning)


def predictions(model: Model, predicted: pd.DataFrame, champion: int, as_of: datetime) -> pd.DataFrame:
    """A model's raw answers with percentile, decile and band; ties share them, users without a score have none."""
    import numpy as np
    import pandas as pd

    frame = predicted.reset_index()
    rank = frame["score"].rank(method="max", pct=True)
    frame["percentile"] = (100 * rank).round(2)
    frame["decile"] = np.ceil(rank * 10).clip(1, 10).astype("Int32")
    positions = pd.Series(np.ceil(rank * len(model.bands)), index=frame.index).clip(1, len(model.bands))
    frame["band"] = positions.map(dict(enumerate(model.bands, start=1)))
    frame["model_version"] = np.int32(champion)
    frame["as_of"] = pd.Timestamp(as_of)
    if "reasons" not in frame:
        frame["reasons"] = ""
    known = list(PREDICTIONS.names)
    return frame[[*known, *[column for column in frame.columns if column not in known]]]


def ddl(frame: pd.DataFrame) -> str:
    """The Spark schema of a predictions frame: declared types, and those of the model's own columns by kind."""
    import pandas as pd

    def kind(column: str) -> Any:
        if column in PREDICTIONS.names:
            return PREDICTIONS.column(column).type
        if pd.api.types.is_bool_dtype(frame[column]):
            return "boolean"
        if pd.api.types.is_integer_dtype(frame[column]):
            return "bigint"
        return "double" if pd.api.types.is_float_dtype(frame[column]) else "string"

    return ", ".join(f"`{column}` {kind(column)}" for column in frame.columns)
