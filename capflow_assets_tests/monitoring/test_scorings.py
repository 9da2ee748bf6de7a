"""Scorings as rows and back, and how far earlier estimates were off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.monitoring.feed import Feed
from capflow_assets.monitoring.observations import Live, Night, Reliability
from capflow_assets.monitoring.scorings import Scoring, nights_of, past_errors, row_of

START = datetime(2024, 1, 1, tzinfo=UTC)
LIVE = Live("roc_auc", 0.75, 0.73, 0.77, 0.8, 0.79, 0.81)
ESTIMATE = Live("roc_auc", 0.79, 0.7, 0.88, 0.8, 0.79, 0.81, is_estimate=True)
NIGHT = Night(
    START, 2, 0.3, "visits", True, 0.4, ("half a feed", "old"), False, LIVE, ESTIMATE, Reliability(0.3, 0.2, 0.1, 0.3)
)
SCORING = Scoring(NIGHT, 100, Feed(0, 50, 100.0), "", "", LIVE, START - timedelta(days=30), 2)


def test_a_night_comes_back_from_its_row() -> None:
    assert nights_of([row_of(SCORING)]) == [NIGHT]
    plain = Night(START, 2, 0.1, "visits", False)
    assert nights_of([row_of(Scoring(plain, 100))]) == [plain]


def test_what_an_earlier_version_answered_says_nothing_of_this_one() -> None:
    earlier = replace(SCORING, night=replace(NIGHT, live=None, reliability=None), live_version=1)
    [night] = nights_of([row_of(earlier)])
    assert (night.live, night.reliability, night.estimate) == (None, None, ESTIMATE)
    assert row_of(earlier)["live"] == 0.75, "it is kept all the same"


def test_what_was_answered_on_a_broken_feed_says_nothing_of_the_version() -> None:
    broken = row_of(replace(SCORING, live=None, live_as_of=None, live_version=None))
    sound = replace(NIGHT, as_of=START + timedelta(days=30), faults=())
    later = row_of(replace(SCORING, night=sound, live_as_of=START))
    assert nights_of([broken, later])[1].live is None
    assert nights_of([broken | {"faults": ""}, later])[1].live == LIVE


def test_nothing_is_decided_by_a_blind_estimate() -> None:
    [night] = nights_of([row_of(replace(SCORING, blind="its chances are off"))])
    assert night.estimate is None
    assert night.live == LIVE


def test_errors_are_of_the_scorings_that_were_estimated() -> None:
    first = row_of(replace(SCORING, live=None, live_as_of=None, live_version=None))
    later = [
        row_of(replace(SCORING, night=replace(NIGHT, as_of=START + timedelta(days=days)), live_as_of=START, live=live))
        for days, live in ((30, replace(LIVE, value=0.70)), (31, LIVE))
    ]
    assert past_errors([*later, first]) == [pytest.approx(0.75 - 0.79)], "measured again, the last counts"
    other = row_of(replace(SCORING, live_as_of=START + timedelta(days=9)))
    assert past_errors([first, other]) == []


def test_what_came_so_far_comes_back_marked_and_earlier_releases_had_none() -> None:
    partial = replace(LIVE, is_partial=True)
    night = replace(NIGHT, live=None, reliability=None, partial=partial, late="bills land late")
    row = row_of(Scoring(night, 100, partial_as_of=START - timedelta(days=9), partial_pct=60.0))
    assert (row["live"], row["partial"], row["partial_low"], row["partial_pct"]) == (None, 0.75, 0.73, 60.0)
    assert nights_of([row]) == [night]
    assert nights_of([row | {"partial_as_of": START}])[0].partial is None, "that night's feed was broken"
    old = {name: value for name, value in row.items() if "partial" not in name and name != "late"}
    assert (nights_of([old])[0].partial, nights_of([old])[0].late) == (None, "")
