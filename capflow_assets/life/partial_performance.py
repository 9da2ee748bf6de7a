"""How good a champion's first answers are before their horizon is over, by what has come of them so far.

How outcomes grow from day to day is learned of the horizons before, of the same customer
(``monitoring.partial_outcomes``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    import numpy as np
    import pandas as pd

# Past horizons that say how outcomes grow.
HORIZONS = 4


@dataclass(frozen=True, slots=True)
class PartialAnswers:
    """What was answered as of a moment whose horizon is not over, with the share of its outcomes that has come."""

    as_of: datetime
    live: Live
    come_pct: float


@dataclass(frozen=True, slots=True)
class _SoFar:
    """What has come of answers by now, and how it came in horizons that are over.

    ``has_come`` and ``was_settled`` are of the answers' subjects, in their order (``partial_roc_auc``); ``shares`` are
    those of ``growth_of``. Of an outcome that only a horizon's end makes sure it ``is_opposite`` that is counted.
    """

    has_come: np.ndarray
    was_settled: np.ndarray
    shares: list[tuple[float, float]]
    is_opposite: bool = False


def partial_answers(
    deployment: Deployment,
    reader: ExampleReader,
    as_of: datetime,
    version: int,
    report: Mapping[str, Any],
    delay: LandingDelay = ON_TIME,
) -> PartialAnswers | str:
    """The oldest answers of ``version`` whose horizon is not over, by what came of them up to ``as_of``; or why not.

    Told of chances of something that comes within the horizon, or that its end makes sure, as a lapse. Rows that land
    late are waited for, by the ``delay`` that bills have.
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
        so_far = _so_far(sampled(reader), outcomes, window, until, horizon_days)
    except CapflowError as error:
        return str(error).splitlines()[0]
    growth = growth_of(so_far.shares)
    if growth is None:
        return "how its outcomes grow is not known of two horizons that are over"
    scores = answers["score"].to_numpy(dtype=float)
    is_scored = np.isfinite(scores)
    area = partial_roc_auc(
        (-scores if so_far.is_opposite else scores)[is_scored],
        so_far.has_come[is_scored],
        growth,
        so_far.was_settled[is_scored],
    )
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


def _so_far(
    reader: ExampleReader, outcomes: pd.DataFrame, window: Window, until: datetime, horizon_days: int
) -> _SoFar:
    """What has come of the subjects of ``outcomes`` by the end of ``window``, beside horizons that are over."""
    import numpy as np

    zone, column = reader.customer.time_zone, reader.spec.model.outcome.columns[0]
    days, subjects = _days_between(window.start, window.end, zone), outcomes.index
    past = past_windows(until, horizon_days, HORIZONS, first_bill(reader, until), zone)
    if not past:
        return _SoFar(np.zeros(len(subjects), dtype=bool), np.zeros(len(subjects), dtype=bool), [])
    begun = [Window(one.start, days_after(one.start, days, zone)) for one in past]
    early, final = (reader.outcomes_in(windows, [subjects] * len(past)) for windows in (begun, past))
    reach = [(one[column] > 0, other[column] > 0) for one, other in zip(early, final, strict=True)]
    growing = [(float(by_day.mean()), float(in_all.mean())) for by_day, in_all in reach if not (by_day & ~in_all).any()]
    if len(growing) < len(reach):
        whole = Window(window.start, days_after(window.start, horizon_days, zone))
        return _opposite(reader, subjects, [(whole, window.end), *zip(past, (one.end for one in begun), strict=True)])
    return _SoFar((outcomes[column] > 0).to_numpy(), np.zeros(len(subjects), dtype=bool), growing)


def _opposite(reader: ExampleReader, subjects: pd.Index, windows: Sequence[tuple[Window, datetime]]) -> _SoFar:
    """Of an outcome that is taken back within a horizon, as a lapse by who comes again: how its opposite comes.

    ``windows`` are whole ones with the moment that is looked at, first that of the answers. Of whom the opposite is
    sure when a horizon begins, nothing grows.
    """
    column = reader.spec.model.outcome.columns[0]
    looks = [(window, moment) for window, seen in windows for moment in (window.start, seen, window.end)]
    stands = [(frame[column] > 0).to_numpy() for frame in reader.outcomes_so_far(looks[:2] + looks[3:], subjects)]
    (may_come, stays), past = stands[:2], stands[2:]
    shares = []
    for at_risk, by_day, in_all in zip(past[::3], past[1::3], past[2::3], strict=True):
        is_taken_back = (in_all & ~by_day) | (by_day & ~at_risk)
        if at_risk.any() and not is_taken_back.any():
            shares.append(
                (float((at_risk & ~by_day).sum() / at_risk.sum()), float((at_risk & ~in_all).sum() / at_risk.sum()))
            )
    return _SoFar(~stays, ~may_come, shares, is_opposite=True)
