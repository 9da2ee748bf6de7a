"""Stages by hand, shrunk shares, and what became of stages."""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.lifecycle import (
    CELLS,
    COLUMNS,
    STAGES,
    everybodys_gap,
    reasons,
    shrunk_shares,
    stage_plot,
    standing,
    transitions,
)

# recency, visits, average gap, last gap, mean of the last three; what is usual for all is 20 days.
USERS = {
    "new": (10, 1, nan, nan, nan),
    "active": (12, 11, 10, 10, 10),
    "returned": (2, 11, 10, 60, 27),
    "slowing": (20, 11, 10, 10, 10),
    "lapsing": (40, 11, 10, 10, 10),
    "lost": (100, 11, 10, 10, 10),
}


def features(*rows: tuple[float, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.mark.parametrize("stage", USERS)
def test_each_stage_by_an_example(stage: str) -> None:
    assert STAGES[standing(features(USERS[stage]), 20.0).stage[0]] == stage


def test_the_usual_gap_is_shrunk_by_two_gaps_of_everybodys() -> None:
    users = standing(features(USERS["active"], (5, 2, 10, 10, 10), USERS["new"]), 20.0)
    assert users.usual_gap_days.tolist() == pytest.approx([(10 * 10 + 2 * 20) / 12, (10 + 2 * 20) / 3, 20.0])


def test_one_who_comes_more_and_more_rarely_is_slowing_though_not_late() -> None:
    assert STAGES[standing(features((3, 11, 10, 25, 25)), 20.0).stage[0]] == "slowing"


def test_a_first_visit_long_ago_and_none_at_all_are_lost() -> None:
    users = standing(features((101, 1, nan, nan, nan), (nan, 0, nan, nan, nan), (np.inf, 3, 10, 10, 10)), 20.0)
    assert [STAGES[number] for number in users.stage] == ["lost", "lost", "lost"]
    assert reasons(users) == [
        "has not come for 101 days, usual gap 20",
        "no visit but returns",
        "has not come for 750 days, usual gap 15",
    ]


def test_everybodys_gap_is_the_median_of_those_who_came_twice() -> None:
    assert everybodys_gap(features((1, 2, 10, 10, 10), (1, 2, 30, 30, 30), (1, 1, nan, nan, nan))) == 20.0
    assert everybodys_gap(features((1, 1, nan, nan, nan))) == 30.0


def test_shares_are_shrunk_to_the_stages_and_these_to_everybodys() -> None:
    """Of forty active users of one kind thirty came, of twenty lost ones none; twenty users' worth is everybody's."""
    width = CELLS // len(STAGES)
    stage = np.repeat([1, 5], [40, 20])
    of_stage, of_cell = shrunk_shares(stage, stage * width, np.repeat([1.0, 0.0], [30, 30]))
    active, lost, nobody = (30 + 20 * 0.5) / 60, 20 * 0.5 / 40, 0.5
    assert of_stage.tolist() == pytest.approx([nobody, active, nobody, nobody, nobody, lost])
    assert of_cell[[width, 5 * width]].tolist() == pytest.approx([(30 + 20 * active) / 60, 20 * lost / 40])
    assert of_cell[width + 1] == pytest.approx(active)


def test_stages_are_followed_from_moment_to_moment() -> None:
    users = pd.Index(["ana", "bob", "ana", "bob", "cem", "ana"])
    shares = transitions(users, np.array([0, 0, 1, 1, 1, 2]), np.array([1, 1, 1, 3, 0, 4]))
    assert shares[1].tolist() == pytest.approx([0, 1 / 3, 0, 1 / 3, 1 / 3, 0])
    assert shares[5].tolist() == [0, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_the_plot_says_who_came() -> None:
    figure = stage_plot(np.array(["active", "active", "lost"], dtype=object), np.array([True, False, False]))
    assert figure.axes[0].get_title() == "Of the active 50 % came, of the lost 0 %"
