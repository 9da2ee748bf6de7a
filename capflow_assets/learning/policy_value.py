"""What a policy would have brought, from what was logged of another: inverse propensity and doubly robust values.

A row got the action ``logged`` with the chance ``propensity`` and brought ``reward``; the policy would have ``chosen``
an action, of which ``expected`` is the reward that a model expects. One value per row, whose mean is the policy's
value: they are paired between policies, and a bootstrap over rows gives the interval of a difference.

References: D. G. Horvitz, D. J. Thompson (1952); M. Dudík, J. Langford, L. Li, "Doubly robust policy evaluation and
learning", ICML 2011, eq. 2.
"""

from __future__ import annotations

import numpy as np

# No row counts for more than a hundred.
LEAST_PROPENSITY = 0.01


def inverse_propensity(
    reward: np.ndarray, logged: np.ndarray, propensity: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """``1{logged = chosen} reward / propensity`` of each row.

    >>> inverse_propensity(np.array([2.0, 4.0]), np.array([0, 1]), np.array([0.5, 0.5]), np.array([0, 0])).tolist()
    [4.0, 0.0]
    """
    return _weights(logged, propensity, chosen) * reward


def doubly_robust(
    reward: np.ndarray, logged: np.ndarray, propensity: np.ndarray, chosen: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """``expected + 1{logged = chosen} (reward - expected) / propensity`` of each row.

    Right on average where the propensities are, whatever is expected; and where what is expected is, whatever they are.

    >>> logged, chosen, half = np.array([0, 1]), np.array([0, 0]), np.array([0.5, 0.5])
    >>> doubly_robust(np.array([2.0, 4.0]), logged, half, chosen, np.array([1.5, 1.5])).tolist()
    [2.5, 1.5]
    """
    return expected + _weights(logged, propensity, chosen) * (reward - expected)


def effective_rows(logged: np.ndarray, propensity: np.ndarray, chosen: np.ndarray) -> float:
    """How many rows of equal weight say as much of the policy as those that got what it chooses (Kish 1965)."""
    weight = _weights(logged, propensity, chosen)
    return float(weight.sum() ** 2 / np.dot(weight, weight)) if weight.any() else 0.0


def supported(possible: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Whether the chosen action is among those that were ``possible``, which are bits of a number.

    >>> supported(np.array([5.0, 5.0]), np.array([2, 1])).tolist()
    [True, False]
    """
    return (np.asarray(possible).astype(np.int64) >> chosen.astype(np.int64)) % 2 == 1


def _weights(logged: np.ndarray, propensity: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return (logged == chosen) / np.maximum(propensity, LEAST_PROPENSITY)
