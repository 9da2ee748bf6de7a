"""Quiet before, one request after, none in the cool-down, and repeats count once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from capflow_assets.monitoring.retraining import HealthPoint, wants_retraining

START = datetime(2020, 1, 1, tzinfo=UTC)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def point(day: int, over: bool, version: int = 4, psi: float = 0.4) -> HealthPoint:
    return HealthPoint(at(day), version, psi if over else 0.05, "recency_days", over)


def test_quiet_without_history_and_below_k() -> None:
    assert wants_retraining([]) is None
    assert wants_retraining([point(0, False), point(7, True), point(14, False)], k=2, n=3) is None


def test_one_request_with_the_figures_once_k_of_n_are_over() -> None:
    found = wants_retraining([point(0, False), point(7, True), point(14, True, psi=0.41)], k=2, n=3)
    assert found is not None
    assert (found.as_of, found.model_version) == (at(14), 4)
    assert found.reason == (
        "2 of the last 3 scorings by version 4 drifted "
        "(PSI: recency_days 0.40 on 2020-01-08, recency_days 0.41 on 2020-01-15)."
    )


def test_only_the_last_n_count_and_order_of_arrival_does_not_matter() -> None:
    history = [point(0, True), point(7, True), point(14, False), point(21, False)]
    assert wants_retraining(history, k=2, n=3) is None
    assert wants_retraining(history[::-1], k=2, n=4) == wants_retraining(history, k=2, n=4)
    assert wants_retraining(history, k=2, n=4) is not None


def test_scoring_the_same_moment_again_counts_once() -> None:
    assert wants_retraining([point(7, True), point(7, True), point(7, True)], k=2, n=3) is None
    assert wants_retraining([point(0, True), point(7, True), point(7, False)], k=2, n=3) is None


def test_earlier_champions_do_not_count() -> None:
    assert wants_retraining([point(0, True, 3), point(7, True, 3), point(14, True, 4)], k=2, n=3) is None
    mixed = [point(0, True, 4), point(7, False, 3), point(14, True, 4)]
    assert wants_retraining(mixed, k=2, n=2) is not None


def test_no_repeat_in_the_cool_down_which_is_as_of_time() -> None:
    history = [point(day, True) for day in (0, 7, 14)]
    assert wants_retraining(history, k=2, n=3, cooldown_days=14, last_requested=at(7)) is None
    assert wants_retraining(history, k=2, n=3, cooldown_days=14, last_requested=at(14)) is None
    assert wants_retraining(history, k=2, n=3, cooldown_days=14, last_requested=at(0)) is not None
    assert wants_retraining(history, k=2, n=3, cooldown_days=0, last_requested=at(14)) is not None


def test_the_cool_down_is_over_at_the_same_time_of_a_local_day() -> None:
    """Scored at the end of each day in Madrid: 14 days from 20 March 2020 on last an hour less, clocks go forward."""
    ends = [datetime(2020, 3, 20, 22, 59, tzinfo=UTC), datetime(2020, 4, 3, 21, 59, tzinfo=UTC)]
    history = [HealthPoint(end, 4, 0.4, "recency_days", True) for end in ends]
    wanted = {"k": 2, "n": 3, "cooldown_days": 14, "last_requested": ends[0], "zone": "Europe/Madrid"}
    assert wants_retraining(history, **wanted) is not None  # type: ignore[arg-type]
    assert wants_retraining(history, **wanted | {"cooldown_days": 15}) is None  # type: ignore[arg-type]


def test_a_scoring_is_named_by_its_local_day() -> None:
    """The end of 30 June in Santiago is 4 in the morning of 1 July in UTC."""
    history = [HealthPoint(datetime(2020, 7, 1, 3, 59, tzinfo=UTC), 4, 0.4, "recency_days", True)]
    found = wants_retraining(history, k=1, n=1, zone="America/Santiago")
    assert found is not None
    assert "0.40 on 2020-06-30)" in found.reason
