"""When a served model asks to be retrained. Time here is as-of time, never the clock: backfills decide alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from capflow_assets.expressions.days import days_after, local_day_of


@dataclass(frozen=True, slots=True)
class HealthPoint:
    """One scoring of one model: its largest PSI, the column that has it, and whether any is over.

    Over is a column above the threshold and above what chance alone moves so many columns of so few users.
    """

    as_of: datetime
    model_version: int
    psi_max: float
    column: str
    over: bool


@dataclass(frozen=True, slots=True)
class RetrainingRequest:
    """That a model wants to be retrained, as of which moment, and why."""

    as_of: datetime
    model_version: int
    reason: str


def wants_retraining(
    history: Sequence[HealthPoint],
    k: int = 2,
    n: int = 3,
    cooldown_days: int = 28,
    last_requested: datetime | None = None,
    zone: str = "UTC",
) -> RetrainingRequest | None:
    """A request when ``k`` of the last ``n`` scorings by the current champion were over, else None.

    ``history`` holds one model of one customer. The current champion is the version of the newest scoring; scorings
    by earlier versions do not count. Scorings of the same as-of moment count once, the last one given. After a request
    there is none for ``cooldown_days`` of as-of time, local days of ``zone``.
    """
    if not history:
        return None
    latest = {point.as_of: point for point in history}
    newest = latest[max(latest)]
    last = [latest[moment] for moment in sorted(latest) if latest[moment].model_version == newest.model_version][-n:]
    over = [point for point in last if point.over]
    if len(over) < k:
        return None
    if last_requested is not None and newest.as_of < days_after(last_requested, cooldown_days, zone):
        return None
    days = {point.as_of: local_day_of(point.as_of, zone) for point in over}
    figures = ", ".join(f"{point.column} {point.psi_max:.2f} on {days[point.as_of]}" for point in over)
    reason = f"{len(over)} of the last {len(last)} scorings by version {newest.model_version} drifted (PSI: {figures})."
    return RetrainingRequest(newest.as_of, newest.model_version, reason)
