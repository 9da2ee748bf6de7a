"""Moments do not share an outcome, stay inside history, and get their roles in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.splits import moments, time_split

AS_OF = datetime(2020, 6, 1, 22, tzinfo=UTC)


def test_each_horizon_ends_where_the_next_begins() -> None:
    found = moments(AS_OF, 30, 4)
    assert [later - earlier for earlier, later in zip(found, [*found[1:], AS_OF], strict=True)] == [
        timedelta(days=30)
    ] * 4


def test_a_moment_needs_as_long_a_past_as_its_horizon() -> None:
    assert moments(AS_OF, 30, 4, first=AS_OF - timedelta(days=90)) == [
        AS_OF - timedelta(days=60),
        AS_OF - timedelta(days=30),
    ]
    assert moments(AS_OF, 30, 4, first=AS_OF - timedelta(days=59)) == []


def test_the_least_history_can_be_given() -> None:
    first = AS_OF - timedelta(days=90)
    assert len(moments(AS_OF, 30, 4, first=first, min_history_days=0)) == 3
    assert len(moments(AS_OF, 30, 4, first=first, min_history_days=61)) == 0


@pytest.mark.parametrize(
    ("as_of", "horizon", "count", "word"),
    [(datetime(2020, 6, 1), 30, 2, "time zone"), (AS_OF, 0, 2, "horizon"), (AS_OF, 30, 0, "count")],  # noqa: DTZ001
)
def test_wrong_questions_are_refused(as_of: datetime, horizon: int, count: int, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        moments(as_of, horizon, count)


def test_roles_shrink_with_history() -> None:
    past = moments(AS_OF, 30, 4)
    four, two, one, none = (time_split(past[-count:] if count else []) for count in (4, 2, 1, 0))
    assert (four.training, four.calibration, four.test) == (tuple(past[:2]), past[2], past[3])
    assert four.fitting == tuple(past[:3])
    assert (two.training, two.calibration, two.test) == ((past[2],), None, past[3])
    assert two.fitting == (past[2],)
    assert (one.training, one.test) == ((past[3],), None)
    assert "no later one to test on" in one.note
    assert none.training == ()
