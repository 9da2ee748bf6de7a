"""How good a champion's first answers are before their horizon is over, by what has come of them so far.

How outcomes grow from day to day is learned of the horizons before, of the same customer
(``monitoring.partial_outcomes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Window
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import days_after, local_day_of
from capflow_assets.learning.outcomes import past_windows
from capflow_assets.life import answers_history
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.live_performance import are_chances, held_together, promised_of, sampled
from capflow_assets.life.split import filled_until, first_bill
from capflow_assets.monitoring.arrivals import ON_TIME, LandingDelay
from capflow_assets.monitoring.observations import Live
from capflow_assets.stores.moments import moments

if TYPE_CHECKING:
    import pandas as pd

# Past horizons that say how outcomes grow.
HORIZONS = 4


@dataclass(frozen=True, slots=True)
class PartialAnswers:
    """What was answered as of a moment whose horizon is not over, with the share of its outcomes that has come."""

    as_of: datetime
    live: Live
    come_pct: float


def partial_answers(
    deployment: Deployment,
    reader: ExampleReader,
    as_of: datetime,
    version: int,
    report: Mapping[str, Any],
    delay: LandingDelay = ON_TIME,
) -> PartialAnswers | str:
    """The oldest answers of ``version`` whose horizon is not over, by what came of them up to ``as_of``; or why not.

    Told of chances of something that comes within the horizon and is not taken back. Rows that land late are waited
    for, by the ``delay`` that bills have.
    """
    import numpy as np

    from capflow_assets.monitoring.partial_outcomes import growth_of, partial_roc_auc

    model, horizon_days = reader.spec.model, int(report.get("horizon_days") or 0)
    if not are_chances(model) or model.outcome.absent != "zero" or model.outcome.per or reader.spec.events is not None:
        return ""
    try:
        until = filled_until(reader, as_of, delay)
        window = _begun(deployment, reader, version, until, horizon_days)
        if window is None:
            return ""
        outcomes, answers = held_together(reader, window)
        growth = growth_of(_past_shares(sampled(reader), answers.index, window, until, horizon_days))
    except CapflowError as error:
        return str(error).splitlines()[0]
    if growth is None:
        return "how its outcomes grow is not known of two horizons that are over"
    scores = answers["score"].to_numpy(dtype=float)
    is_scored, has_come = np.isfinite(scores), (outcomes[model.outcome.columns[0]] > 0).to_numpy()
    area = partial_roc_auc(scores[is_scored], has_come[is_scored], growth)
    live = None if area is None else promised_of(report, model, *area.interval)
    if area is None or live is None:
        return "too little has come of it so far, or its training measured nothing to hold it against"
    return PartialAnswers(window.start, replace(live, is_partial=True), area.come_pct)


def _begun(
    deployment: Deployment, reader: ExampleReader, version: int, until: datetime, horizon_days: int
) -> Window | None:
    """From the oldest answers of the version whose horizon is not over to so many whole days after as are known."""
    lake, customer, name, zone = deployment.lake, reader.customer.name, reader.spec.name, reader.customer.time_zone
    for moment in moments(lake, customer, answers_history.table_of(name)):
        if moment >= until or days_after(moment, horizon_days, zone) <= until:
            continue
        answers = answers_history.as_of(lake, customer, name, moment)
        first = answers.select("model_version").limit(1).collect() if answers is not None else []
        if first and int(first[0][0]) == version:
            days = _days_between(moment, until, zone)
            return Window(moment, days_after(moment, days, zone)) if days else None
    return None


def _days_between(moment: datetime, until: datetime, zone: str) -> int:
    """The whole local days from one moment to another."""
    days = (local_day_of(until, zone) - local_day_of(moment, zone)).days
    return days if days_after(moment, days, zone) <= until else days - 1


def _past_shares(
    reader: ExampleReader, subjects: pd.Index, window: Window, until: datetime, horizon_days: int
) -> list[tuple[float, float]]:
    """Of horizons that are over, the shares of the subjects of whom it came by the same day, and by the end."""
    zone, column = reader.customer.time_zone, reader.spec.model.outcome.columns[0]
    days = _days_between(window.start, window.end, zone)
    whole = past_windows(until, horizon_days, HORIZONS, first_bill(reader, until), zone)
    if not whole:
        return []
    begun = [Window(one.start, days_after(one.start, days, zone)) for one in whole]
    early, final = (reader.outcomes_in(windows, [subjects] * len(whole)) for windows in (begun, whole))
    reach = [((one[column] > 0), (other[column] > 0)) for one, other in zip(early, final, strict=True)]
    # What is taken back within the horizon, as a lapse by who comes again, does not grow: nothing is told of it.
    return [(float(by_day.mean()), float(in_all.mean())) for by_day, in_all in reach if not (by_day & ~in_all).any()]
