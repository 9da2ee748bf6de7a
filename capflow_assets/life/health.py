"""Health of a champion: the users that it scores now, compared with those that it was trained on; a history table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.deployment import Deployment
from capflow_assets.life.answers import figure_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.reference import with_ages_of
from capflow_assets.life.scoring import Scored

if TYPE_CHECKING:
    import pandas as pd

HEALTH = Table(
    grain="column (a feature, or the score) and scoring",
    key=("as_of", "model_version", "column"),
    time="as_of",
    columns=(
        Column("as_of", "timestamp", "The as-of moment of the scoring.", required=True),
        Column("model_version", "int", "The champion that scored.", required=True),
        Column("column", "string", "A feature's name, or `score`.", required=True),
        Column("psi", "double", "Population stability index against the training population.", at_least=0),
        Column("threshold", "double", "Above it the column counts as drifted.", required=True),
        Column("is_over", "boolean", "Whether the index is over the threshold, and over chance too.", required=True),
    ),
)


@dataclass(frozen=True, slots=True)
class Health:
    """One scoring's drift: the worst column, and whether any is over the customer's threshold and over chance."""

    as_of: datetime
    champion: int
    worst: str
    psi_max: float
    threshold: float
    is_over: bool
    version: int
    plot: bytes


def watch(deployment: Deployment, reader: ExampleReader, scored: Scored) -> Health:
    """Measure the drift of a scoring, add it to the history (the same scoring again replaces itself), draw it."""
    from capflow_assets.monitoring.drift import plot, psi
    from capflow_assets.pages.plots import png

    customer, name = reader.customer.name, reader.spec.name
    scores = figure_of(reader.spec.model, scored.answers)
    threshold = reader.customer.retraining.psi
    state = with_ages_of(scored.population.as_of, reader, scored.examples.columns, scored.as_of)
    by_column = psi(scored.population.reference, state.assign(score=scores), threshold)
    rows = _rows(by_column, scored, threshold)
    session = deployment.lake.spark()
    schema = ", ".join(f"`{column.name}` {column.type}" for column in HEALTH.columns)
    version = deployment.lake.replace(
        session.createDataFrame(rows, schema=schema),
        customer,
        f"health/{name}",
        where=f"as_of = timestamp '{scored.as_of.strftime('%Y-%m-%d %H:%M:%S.%f')}' "
        f"and model_version = {scored.champion}",
    )
    # A drifted column comes before one with a larger index that so few users may have by chance.
    worst = rows.sort_values(["is_over", "psi"]).iloc[-1]
    return Health(
        as_of=scored.as_of,
        champion=scored.champion,
        worst=str(worst["column"]),
        psi_max=float(worst["psi"]),
        threshold=threshold,
        is_over=bool(rows["is_over"].any()),
        version=version,
        plot=png(plot(by_column, threshold)),
    )


def _rows(drift: pd.DataFrame, scored: Scored, threshold: float) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    return pd.DataFrame(
        {
            "as_of": pd.Timestamp(scored.as_of),
            "model_version": np.int32(scored.champion),
            "column": drift["column"].astype(str),
            "psi": drift["psi"].astype(float),
            "threshold": threshold,
            "is_over": drift["over"].astype(bool),
        }
    )
