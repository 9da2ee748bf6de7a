"""Moments do not share an outcome and stay inside history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.splits import moments

AS_OF = datetime(2020, 6, 1, 22, tzinfo=UTC)


def test_each_horizon_ends_where_the_next_begins() -> None:
    found = moments(AS_OF, 30, 4, "UTC")
    assert [later - earlier for earlier, later in zip(found, [*found[1:], AS_OF], strict=True)] == [
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


@pytest.mark.parametrize(
    ("as_of", "horizon", "count", "word"),
    [(datetime(2020, 6, 1), 30, 2, "time zone"), (AS_OF, 0, 2, "horizon"), (AS_OF, 30, 0, "count")],  # noqa: DTZ001
)
def test_wrong_questions_are_refused(as_of: datetime, horizon: int, count: int, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        moments(as_of, horizon, count, "UTC")
