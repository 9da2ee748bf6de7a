"""What each training of a model brought: ``retrainings/{model}``, a ledger that the retraining policy reads.

One row per training: as of when, which version, why it was trained, whether it took the champion's place, and its
measured lead over the champion before it with the 95 % interval, on the same subjects. Beside that promise stands what
came of it: the lead over the former champion on the nights that it answered in shadow (``life.shadow``). Trained again
as of the same moment, a row replaces itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capflow_assets.deployment import Deployment
from capflow_assets.life.report import TrainingReport
from capflow_assets.monitoring.observations import PastTraining
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.moments import replace_moment, rows_in_utc

BY_HAND = "by hand"
GAIN = ("gain", "gain_low", "gain_high")
MEASURED = ("measured_gain", "measured_low", "measured_high", "measured_nights", "measured_as_of")
MOMENTS = ("as_of", "measured_as_of")


@dataclass(frozen=True, slots=True)
class MeasuredGain:
    """The mean lead over the former champion on so many nights with its 95 % interval; the newest is ``as_of``."""

    value: float
    low: float
    high: float
    nights: int
    as_of: datetime

    def row(self) -> dict[str, Any]:
        """In the ledger's columns."""
        return {
            "measured_gain": self.value,
            "measured_low": self.low,
            "measured_high": self.high,
            "measured_nights": self.nights,
            "measured_as_of": self.as_of,
        }


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
        **dict.fromkeys(MEASURED),
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
    return tuple(
        PastTraining(
            row["as_of"],
            row["version"],
            row["cause"],
            row["decision"] == "promote",
            row["gain"],
            row.get("measured_gain"),
        )
        for row in rows_of(lake, customer, model)
    )


def rows_of(lake: Lake, customer: str, model: str) -> list[dict[str, Any]]:
    """The ledger's rows as plain values, oldest first; moments are in UTC. Earlier releases measured no gain.

    Raises:
        TableError: the ledger is damaged.
    """
    rows = rows_in_utc(lake, customer, table_of(model), MOMENTS)
    return sorted(rows, key=lambda row: (row["as_of"], row["version"]))


def measured_gain(row: Mapping[str, Any]) -> MeasuredGain | None:
    """What was measured so far of a row's version; None where nothing was."""
    return None if row.get("measured_gain") is None else MeasuredGain(*(row[name] for name in MEASURED))


def keep_measured(lake: Lake, customer: str, model: str, version: int, gain: MeasuredGain) -> None:
    """Put a measured gain beside what the training of a version promised; nothing where no row is of it.

    Raises:
        TableError: the ledger is damaged.
    """
    import pyarrow as pa

    rows = rows_of(lake, customer, model)
    own = next((row for row in rows if row["version"] == version), None)
    if own is None:
        return
    alike = [row | (gain.row() if row is own else {}) for row in rows if row["as_of"] == own["as_of"]]
    table = pa.Table.from_pylist(alike, schema=_schema())
    replace_moment(lake, customer, table_of(model), own["as_of"], table.to_reader())


def last_by_policy(trainings: tuple[PastTraining, ...]) -> datetime | None:
    """The moment of the newest training that no person asked for."""
    return max((one.as_of for one in trainings if one.cause != BY_HAND), default=None)


def _schema() -> Any:
    import pyarrow as pa

    moment, text, number = pa.timestamp("us", tz="UTC"), pa.string(), pa.float64()
    names = ["as_of", "version", "cause", "action", "decision", "champion_before", "gain", "gain_low", "gain_high"]
    kinds = {
        **dict.fromkeys(MOMENTS, moment),
        **dict.fromkeys(("version", "champion_before", "measured_nights"), pa.int32()),
        **dict.fromkeys((*GAIN, *MEASURED[:3]), number),
    }
    return pa.schema([(name, kinds.get(name, text)) for name in (*names, "reason", *MEASURED)])
