"""Where each user stands in a customer's life: stages by the user's own rhythm, and what became of those in them.

A user's usual gap is the mean of the gaps between the visits, shrunk to everybody's by two gaps' worth, so that two
visits do not make a rhythm. The stage is the days since the last visit in usual gaps. Were visits by chance at a steady
rate, one gap in five would pass 1.5 usual ones, one in twelve 2.5 and one in 150 five.

    new       one visit, and a second is not overdue
    returned  back, after a gap of more than three usual ones
    active    within 1.5 usual gaps
    slowing   within 2.5; or within 1.5, and the last three gaps are half as long again as all
    lapsing   within 5
    lost      beyond
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from capflow_assets.learning.frames import matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("recency_days", "visits", "gap_days_avg", "gap_days_last", "gap_days_recent_avg")
STAGES = ("new", "active", "returned", "slowing", "lapsing", "lost")
NEW, ACTIVE, RETURNED, SLOWING, LAPSING, LOST = range(len(STAGES))
GAPS_ACTIVE, GAPS_SLOWING, GAPS_LAPSING, GAPS_AWAY, SLOWER = 1.5, 2.5, 5.0, 3.0, 1.5
# How many gaps everybody's usual gap is worth beside the user's own.
EVERYBODY_GAPS = 2.0
# Usual gaps since the last visit, and visits to expect in the horizon, between which users of a stage are told apart.
WAITED = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 8.0, 12.0)
EXPECTED = (0.25, 0.5, 1.0, 2.0, 4.0)
# By how much those of a cell who waited longest come after the others: ties would cost what recency alone tells.
WITHIN_CELL = 0.01
# How many users' worth the stage's share is beside that of its users who are alike in the above.
STAGE_USERS = 20.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Of each user the number of the ``stage``, the ``usual_gap_days`` and the last gap and the days since, in days."""

    stage: np.ndarray
    usual_gap_days: np.ndarray
    recency_days: np.ndarray
    last_gap_days: np.ndarray
    visits: np.ndarray

    def cells(self, horizon_days: int) -> np.ndarray:
        """A number for users of one stage who waited alike and of whom as many visits are to be expected."""
        waited = np.digitize(self.recency_days / self.usual_gap_days, WAITED)
        expected = np.digitize(horizon_days / self.usual_gap_days, EXPECTED)
        cells: np.ndarray = (self.stage * (len(WAITED) + 1) + waited) * (len(EXPECTED) + 1) + expected
        return cells

    def chances(self, shares: np.ndarray, horizon_days: int) -> np.ndarray:
        """The share of each user's cell, of a hundredth less for those of it who waited longer."""
        waited = self.recency_days / (self.recency_days + self.usual_gap_days)
        chances: np.ndarray = shares[self.cells(horizon_days)] * (1 - WITHIN_CELL * waited)
        return chances


CELLS = len(STAGES) * (len(WAITED) + 1) * (len(EXPECTED) + 1)


def everybodys_gap(features: pd.DataFrame) -> float:
    """The median of the users' average gaps in days; 30 where nobody came twice."""
    gaps = matrix(features, COLUMNS)["gap_days_avg"].dropna()
    return float(gaps.median()) if len(gaps) else 30.0


def standing(features: pd.DataFrame, everybody_days: float) -> Standing:
    """Where users stand, from ``COLUMNS`` of features/rfm and features/rhythm; one without a visit is lost."""
    known = matrix(features, COLUMNS)
    recency, visits, average, last, lately = (known[name].to_numpy() for name in COLUMNS)
    visits = np.nan_to_num(visits)
    gaps = np.where(np.isnan(average), 0.0, np.maximum(visits - 1, 0))
    own = gaps * np.nan_to_num(average)
    usual = np.maximum((own + EVERYBODY_GAPS * everybody_days) / (gaps + EVERYBODY_GAPS), 1.0)
    waited = np.where(np.isnan(recency), np.inf, recency) / usual
    is_slower = np.nan_to_num(lately) > SLOWER * usual
    stage = np.select(
        [
            (visits == 1) & (waited <= GAPS_SLOWING),
            (waited <= GAPS_ACTIVE) & (np.nan_to_num(last) > GAPS_AWAY * usual),
            (waited <= GAPS_ACTIVE) & ~is_slower,
            waited <= GAPS_SLOWING,
            waited <= GAPS_LAPSING,
        ],
        [NEW, RETURNED, ACTIVE, SLOWING, LAPSING],
        LOST,
    )
    never = np.where(np.isnan(recency), GAPS_LAPSING * usual * 10, recency)
    return Standing(stage, usual, never, last, visits)


def shrunk_shares(stage: np.ndarray, cells: np.ndarray, is_active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each stage, and of each cell, the share of users who came in the horizon.

    A cell's is shrunk to its stage's and a stage's to everybody's; both by as many users' worth.
    """
    width = CELLS // len(STAGES)
    overall = is_active.mean()
    users, active = (np.bincount(stage, weight, len(STAGES)) for weight in (None, is_active))
    of_stage = (active + STAGE_USERS * overall) / (users + STAGE_USERS)
    users, active = (np.bincount(cells, weight, CELLS) for weight in (None, is_active))
    return of_stage, (active + STAGE_USERS * np.repeat(of_stage, width)) / (users + STAGE_USERS)


def transitions(users: pd.Index, moments: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """The chance of each stage a moment later (columns) by the stage before (rows); rows add up to 1.

    A stage that nobody was in before stays as it is. ``users`` and ``stage`` are of examples of the ``moments``.
    """
    frame = pd.DataFrame({"user": users, "moment": moments, "stage": stage})
    later = frame.assign(moment=frame["moment"] - 1)
    pairs = frame.merge(later, on=["user", "moment"], suffixes=("", "_later"))
    counts = np.zeros((len(STAGES), len(STAGES)))
    np.add.at(counts, (pairs["stage"].to_numpy(), pairs["stage_later"].to_numpy()), 1.0)
    counts[counts.sum(axis=1) == 0] += np.eye(len(STAGES))[counts.sum(axis=1) == 0]
    shares: np.ndarray = counts / counts.sum(axis=1, keepdims=True)
    return shares


def reasons(users: Standing) -> list[str]:
    """Why users are in their stages, in words."""
    rows = zip(users.stage, users.recency_days, users.usual_gap_days, users.last_gap_days, users.visits, strict=True)
    return [_words(*row) for row in rows]


def _words(stage: int, recency: float, usual: float, last: float, visits: float) -> str:
    """Say when the user came last, and what is usual.

    >>> _words(LAPSING, 54, 21.2, 20, 9), _words(RETURNED, 1, 14.0, 80, 5)
    ('has not come for 54 days, usual gap 21', 'came back 1 day ago after 80 days, usual gap 14')
    >>> _words(NEW, 3, 30.0, float("nan"), 1), _words(LOST, 1500, 30.0, float("nan"), 0)
    ('first visit 3 days ago, others come again after 30', 'no visit but returns')
    """
    days = "today" if recency < 1 else "1 day ago" if round(recency) == 1 else f"{recency:,.0f} days ago"
    if not visits:
        return "no visit but returns"
    if stage == NEW:
        return f"first visit {days}, others come again after {usual:,.0f}"
    if stage == RETURNED:
        return f"came back {days} after {last:,.0f} days, usual gap {usual:,.0f}"
    if stage in (LAPSING, LOST):
        return f"has not come for {recency:,.0f} days, usual gap {usual:,.0f}"
    return f"last visit {days}, usual gap {usual:,.0f} days"


def stage_plot(stages: np.ndarray, is_active: np.ndarray) -> Figure:
    """The users of each stage, and the share of them who came in the horizon."""
    from matplotlib.figure import Figure

    of_stage = [is_active[stages == stage] for stage in STAGES]
    active_pct = [100 * float(users.mean()) if len(users) else 0.0 for users in of_stage]
    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.bar(np.arange(len(STAGES)), active_pct, color="tab:green")
    names = [f"{stage}\n{len(users):,}" for stage, users in zip(STAGES, of_stage, strict=True)]
    axes.set_xticks(np.arange(len(STAGES)), names)
    axes.set_ylim(0, 100)
    axes.set_ylabel("% of the users who came in the horizon")
    axes.set_title(f"Of the active {active_pct[ACTIVE]:.0f} % came, of the lost {active_pct[LOST]:.0f} %")
    return figure
