"""Moments do not share an outcome and stay inside history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.errors import ModelError
from capflow_assets.expressions.days import MICROSECOND
from capflow_assets.learning.splits import moments, windows

AS_OF = datetime(2020, 6, 1, 22, tzinfo=UTC)


def test_each_horizon_ends_where_the_next_begins() -> None:
    starts = moments(AS_OF, 30, 4, "UTC")
    assert [later - earlier for earlier, later in zip(starts, [*starts[1:], AS_OF], strict=True)] == [
        timedelta(days=30)
    ] * 4


def test_a_moment_needs_as_long_a_past_as_its_horizon() -> None:
    assert moments(AS_OF, 30, 4, "UTC", first=AS_OF - timedelta(days=90)) == [
        AS_OF - timedelta(days=60),
        AS_OF - timedelta(days=30),
    ]
    assert moments(AS_OF, 30, 4, "UTC", first=AS_OF - timedelta(days=59)) == []


def test_the_least_history_can_be_given() -> None:
    first = AS_OF - timedelta(days=90)
    assert len(moments(AS_OF, 30, 4, "UTC", first=first, min_history_days=0)) == 3
    assert len(moments(AS_OF, 30, 4, "UTC", first=first, min_history_days=61)) == 0


def test_windows_end_where_the_next_begins_and_at_the_moment_whatever_the_clocks_do() -> None:
    """In Madrid clocks show 2:30 twice on 27 October 2024 and never on 31 March; noon is noon on all days."""
    for as_of in (datetime(2024, 10, 27, 0, 30, tzinfo=UTC), datetime(2024, 4, 28, 0, 30, tzinfo=UTC)):
        horizons = windows(as_of, 28, 8, "Europe/Madrid")
        assert [horizon.end for horizon in horizons] == [*(horizon.start for horizon in horizons[1:]), as_of]
    assert horizons[-1].start == datetime(2024, 3, 31, 1, tzinfo=UTC) - MICROSECOND
    noons = moments(datetime(2024, 11, 3, 11, tzinfo=UTC), 7, 2, "Europe/Madrid")
    assert noons == [datetime(2024, 10, 20, 10, tzinfo=UTC), datetime(2024, 10, 27, 11, tzinfo=UTC)]


def test_history_is_counted_in_local_days() -> None:
    """From noon to noon over the night in which clocks went forward are 30 days, of an hour less."""
    first, as_of = datetime(2024, 3, 10, 11, tzinfo=UTC), datetime(2024, 5, 9, 10, tzinfo=UTC)
    assert moments(as_of, 30, 2, "Europe/Madrid", first=first) == [datetime(2024, 4, 9, 10, tzinfo=UTC)]
    assert moments(as_of, 30, 2, "UTC", first=first) == []


def test_a_horizon_of_the_day_that_a_zone_left_out_is_none() -> None:
    """30 December 2011 in Apia; two days later are two horizons of a day, not three."""
    as_of = datetime(2012, 1, 1, 9, 59, 59, 999_999, tzinfo=UTC)
    horizons = windows(as_of, 1, 3, "Pacific/Apia")
    assert [horizon.end for horizon in horizons] == [as_of - timedelta(days=1), as_of]
    assert all(horizon.end - horizon.start == timedelta(days=1) for horizon in horizons)


@pytest.mark.parametrize(
    ("as_of", "horizon", "count", "word"),
    [(datetime(2020, 6, 1), 30, 2, "time zone"), (AS_OF, 0, 2, "horizon"), (AS_OF, 30, 0, "count")],  # noqa: DTZ001
)
def test_wrong_questions_are_refused(as_of: datetime, horizon: int, count: int, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        moments(as_of, horizon, count, "UTC")
