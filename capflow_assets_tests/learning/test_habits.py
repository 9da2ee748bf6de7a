"""Which habits are read, how they fade, and which concentration makes the outcomes likeliest."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.habits import CONCENTRATIONS, Habits, Likelihood, habits_of, pasts_of, today_of

TODAY = np.datetime64("2024-05-10")


def habits(*rows: tuple[str | None, str | None, str]) -> Habits:
    frame = pd.DataFrame(rows, columns=["user", "thing", "day"])
    return habits_of(frame["user"], frame["thing"], frame["day"].to_numpy().astype("datetime64[D]"), TODAY)


def test_each_user_thing_and_day_counts_once_and_the_unknown_are_left_out() -> None:
    read = habits(
        ("bob", "old", "2024-05-09"),
        ("ana", "old", "2024-05-01"),
        ("ana", "old", "2024-05-01"),
        ("ana", "new", "2024-05-10"),
        (None, "old", "2024-05-01"),
        ("eve", None, "2024-05-01"),
    )
    assert read.users.tolist() == ["ana", "bob"]
    assert read.things.tolist() == ["new", "old"]
    assert read.counts(0.0).toarray().tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert read.numbers(pd.Index(["bob", "eve"])).tolist() == [1, -1]


def test_a_choice_counts_half_after_a_half_life() -> None:
    counts = habits(("ana", "old", "2024-05-10"), ("ana", "old", "2024-04-30"), ("ana", "old", "2024-04-20")).counts(10)
    assert counts.toarray().tolist() == [[1.75]]


def test_a_day_after_the_moment_is_of_today() -> None:
    """In a zone ahead of the clock that the moment was read off."""
    assert habits(("ana", "old", "2024-05-11")).age_days.tolist() == [0.0]


def test_the_concentration_of_a_dirichlet_is_recovered() -> None:
    """Users draw their shares from a Dirichlet of concentration 4, choose five times, and then once more."""
    random = np.random.default_rng(5)
    prior = np.array([0.5, 0.3, 0.2])
    shares = random.dirichlet(4 * prior, 20_000)
    counts = np.array([random.multinomial(5, share) for share in shares])
    chosen = (random.random((len(shares), 1)) > np.cumsum(shares, axis=1)).sum(axis=1)
    own = counts[np.arange(len(shares)), chosen].astype(float)
    concentration, value = Likelihood(own, np.full(len(own), 5.0), prior[chosen], np.ones(len(own))).best()
    assert concentration == pytest.approx(4.0, rel=0.3)
    assert value == pytest.approx(np.mean(np.log((own + concentration * prior[chosen]) / (5 + concentration))))


def test_where_own_choices_say_nothing_the_prior_is_all() -> None:
    zeros, ones = np.zeros(10), np.ones(10)
    concentration, _ = Likelihood(zeros, ones, np.full(10, 0.5), ones).best()
    assert concentration == CONCENTRATIONS[-1]


def examples(outcomes: pd.DataFrame | None) -> Examples:
    moments = datetime(2024, 5, 1, 22, 30, tzinfo=UTC), datetime(2024, 5, 10, 12, tzinfo=UTC)
    users = pd.DataFrame({"moment": [0, 1]}, index=pd.Index(["ana", "ana"], name="user_id"))
    return Examples(users, outcomes, {}, moments, "Europe/Madrid")


def test_outcomes_belong_to_their_moment() -> None:
    outcomes = pd.DataFrame(
        {"thing": ["old", "new", "far", "old"], "visits": [2.0, 1.0, 1.0, 5.0], "moment": [0, 1, 1, 1]},
        index=pd.Index(["ana", "ana", "ana", "stranger"], name="user_id"),
    )
    past, newer = pasts_of(
        examples(outcomes),
        lambda _: habits(("ana", "old", "2024-04-01"), ("ana", "new", "2024-04-02")),
        "thing",
        "visits",
    )
    assert (past.thing.tolist(), past.weight.tolist()) == ([1], [2.0])
    assert (newer.thing.tolist(), newer.weight.tolist()) == ([0], [1.0])


def test_nothing_to_learn_from_is_refused() -> None:
    empty = pd.DataFrame({"thing": [], "visits": []}, index=pd.Index([], name="user_id", dtype=object))
    for outcomes in (None, empty):
        with pytest.raises(EvidenceError, match="came again"):
            pasts_of(examples(outcomes), lambda _: habits(("ana", "old", "2024-04-01")), "thing", "visits")


def test_today_is_the_customers_day() -> None:
    """Half past midnight in Madrid."""
    assert today_of(examples(None), 0) == np.datetime64("2024-05-02")
