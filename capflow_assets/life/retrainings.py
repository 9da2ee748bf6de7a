"""What each training of a model brought: ``retrainings/{model}``, a ledger that the retraining policy reads.

One row per training: as of when, which version, why it was trained, whether it took the champion's place, and its
measured lead over the champion before it with the 95 % interval, on the same subjects. Trained again as of the same
moment, a row replaces itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from capflow_assets.deployment import Deployment
from capflow_assets.life.report import TrainingReport
from capflow_assets.monitoring.observations import PastTraining
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import replace_moment

BY_HAND = "by hand"


def table_of(model: str) -> str:
    """The table of a model's trainings."""
    return f"retrainings/{model}"


def keep(deployment: Deployment, report: TrainingReport, version: int, cause: str, action: str) -> None:
    """Add a training to the ledger.

    Raises:
        TableError: the ledger is damaged.
    """
    import pyarrow as pa

    gain = report.champion.difference if report.champion else None
    row: dict[str, Any] = {
        "as_of": report.as_of,
        "version": version,
        "cause": cause,
        "action": action,
        "decision": report.decision.action,
        "champion_before": report.champion.rival if report.champion else None,
        "gain": gain.value if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "reason": report.decision.reason,
    }
    rows = pa.Table.from_pylist([row], schema=_schema())
    replace_moment(deployment.lake, report.customer, table_of(report.model), report.as_of, rows.to_reader())


def past_trainings(lake: Lake, customer: str, model: str) -> tuple[PastTraining, ...]:
    """The trainings of a customer's model, oldest first; none where none was kept."""
    if not lake.exists(customer, table_of(model)):
        return ()
    rows = lake.arrow(customer, table_of(model), columns=["as_of", "version", "cause", "decision", "gain"]).to_pylist()
    trainings = (
        PastTraining(
            row["as_of"].astimezone(UTC), row["version"], row["cause"], row["decision"] == "promote", row["gain"]
        )
        for row in rows
    )
    return tuple(sorted(trainings, key=lambda one: (one.as_of, one.version)))


def last_by_policy(trainings: tuple[PastTraining, ...]) -> datetime | None:
    """The moment of the newest training that no person asked for."""
    return max((one.as_of for one in trainings if one.cause != BY_HAND), default=None)


def _schema() -> Any:
    import pyarrow as pa

    moment, text, number = pa.timestamp("us", tz="UTC"), pa.string(), pa.float64()
    kinds = {"as_of": moment, "version": pa.int32(), "champion_before": pa.int32()}
    names = ["as_of", "version", "cause", "action", "decision", "champion_before", "gain", "gain_low", "gain_high"]
    return pa.schema(
        [(name, kinds.get(name, number if name.startswith("gain") else text)) for name in (*names, "reason")]
    )
