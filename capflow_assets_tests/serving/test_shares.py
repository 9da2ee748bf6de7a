"""Fair shares: answers at once up to the rate, and beyond it the time to wait."""

from __future__ import annotations

import pytest

from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.shares import Shares


def test_two_seconds_of_the_rate_come_at_once_and_no_more():
    shares = Shares()
    for _ in range(20):
        shares.take("acme", 1, rate=10, now=0.0)
    with pytest.raises(ProblemError) as caught:
        shares.take("acme", 1, rate=10, now=0.0)
    assert (caught.value.status, caught.value.retry_after_s) == (429, pytest.approx(0.1))
    shares.take("acme", 1, rate=10, now=0.1)


def test_a_customer_far_beyond_its_share_takes_nothing_of_the_others():
    shares, refused = Shares(), 0
    for number in range(5000):
        try:
            shares.take("greedy", 1, rate=100, now=number / 5000)
        except ProblemError:
            refused += 1
        if number % 50 == 0:
            shares.take("modest", 1, rate=100, now=number / 5000)
    # 200 at once and 100 in the second; all of the modest one's were taken, or it would have raised.
    assert 5000 - refused == pytest.approx(300, abs=2)


def test_a_batch_larger_than_the_share_is_answered_and_owed_for():
    shares = Shares()
    shares.take("acme", 1000, rate=10, now=0.0)
    with pytest.raises(ProblemError):
        shares.take("acme", 1, rate=10, now=98.0)
    shares.take("acme", 1, rate=10, now=98.2)


def test_processes_share_the_rate():
    shares = Shares(processes=4)
    for _ in range(5):
        shares.take("acme", 1, rate=10, now=0.0)
    with pytest.raises(ProblemError):
        shares.take("acme", 1, rate=10, now=0.0)


def test_bodies_that_are_refused_cost_a_share_by_what_was_read_of_them():
    shares = Shares()
    shares.charge("acme", 0, rate=10, now=0.0)
    shares.charge("acme", 16_384 * 18, rate=10, now=0.0)  # 1 + 1 + 18 of 20
    with pytest.raises(ProblemError) as caught:
        shares.require("acme", rate=10, now=0.0)
    assert (caught.value.status, caught.value.retry_after_s) == (429, pytest.approx(0.1))
    shares.require("acme", rate=10, now=0.1)
    for _ in range(1_000):
        shares.charge("acme", 4 << 20, rate=10, now=0.1)
    shares.require("acme", rate=10, now=4.3)  # never owed for more than two seconds of the rate


def test_a_clock_that_jumps_back_gives_and_takes_nothing():
    shares = Shares()
    shares.take("acme", 20, rate=10, now=100.0)
    with pytest.raises(ProblemError):
        shares.take("acme", 1, rate=10, now=1.0)
