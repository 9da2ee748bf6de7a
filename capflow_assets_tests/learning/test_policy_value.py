"""What a policy would have brought: right where either the chances or the expectations are, and wrong where neither."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.policy_value import doubly_robust, effective_rows, inverse_propensity, supported

# Of two kinds of users and three actions: what each brings on average, and how often each was logged.
BRINGS = np.array([[1.0, 3.0, 0.5], [2.0, 1.0, 4.0]])
LOGGED = np.array([[0.6, 0.1, 0.3], [0.2, 0.5, 0.3]])
POLICY = np.array([1, 2])
TRUTH = 0.5 * 3.0 + 0.5 * 4.0


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    kind = random.integers(0, 2, rows)
    logged = (random.random(rows)[:, None] > LOGGED[kind].cumsum(axis=1)).sum(axis=1)
    return kind, random.poisson(BRINGS[kind, logged]).astype(float), logged, LOGGED[kind, logged]


def test_both_find_the_value_of_a_policy_that_was_never_followed() -> None:
    kind, reward, logged, chance = drawn(20_000)
    chosen = POLICY[kind]
    for expected in (BRINGS[kind, chosen], np.full(len(kind), 9.0)):  # a right model, and a useless one
        values = doubly_robust(reward, logged, chance, chosen, expected)
        assert values.mean() == pytest.approx(TRUTH, abs=4 * values.std() / np.sqrt(len(values)))
    assert inverse_propensity(reward, logged, chance, chosen).mean() == pytest.approx(TRUTH, abs=0.15)


def test_a_right_model_mends_wrong_chances_and_lowers_the_spread() -> None:
    kind, reward, logged, chance = drawn(20_000)
    chosen = POLICY[kind]
    right = BRINGS[kind, chosen]
    wrong_chances = doubly_robust(reward, logged, np.full(len(kind), 0.25), chosen, right)
    assert wrong_chances.mean() == pytest.approx(TRUTH, abs=0.1)
    assert inverse_propensity(reward, logged, np.full(len(kind), 0.25), chosen).mean() < TRUTH - 0.3
    alone = inverse_propensity(reward, logged, chance, chosen)
    assert doubly_robust(reward, logged, chance, chosen, right).std() < 0.75 * alone.std()


def test_a_tiny_chance_counts_for_a_hundred_rows_at_most() -> None:
    zero = np.array([0.0])
    assert inverse_propensity(np.array([2.0]), np.array([1]), zero, np.array([1])).tolist() == [200.0]


def test_rows_that_say_something_of_the_policy() -> None:
    logged, chance = np.array([1, 1, 0, 2]), np.array([0.5, 0.25, 0.5, 0.5])
    chosen = np.array([1, 1, 1, 1])
    assert effective_rows(logged, chance, chosen) == pytest.approx((2 + 4) ** 2 / (4 + 16))
    assert effective_rows(logged, chance, np.full(4, 7)) == 0
    assert supported(np.full(4, 0b0110), np.array([0, 1, 2, 3])).tolist() == [False, True, True, False]
