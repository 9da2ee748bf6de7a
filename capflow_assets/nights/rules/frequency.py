"""Frequency caps over models and destinations: who gets the places that a user has left. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def winners(users: np.ndarray, priorities: np.ndarray, scores: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Which claims are met, where each user has a number of places left.

    One element per claim: its user, its priority (the lower goes first), its score (the higher goes first; none is
    last) and how many places that user has left (the same in all of a user's claims; below 1 is none). Equal claims
    are met in the order in which they stand.

    >>> import numpy as np
    >>> users = np.array(["ann", "ann", "ann", "bob"])
    >>> winners(users, np.array([2, 1, 1, 5]), np.array([0.9, 0.2, 0.4, 0.1]), np.array([2, 2, 2, 0])).tolist()
    [False, True, True, False]
    """
    import numpy as np

    if not len(users):
        return np.zeros(0, dtype=bool)
    _, codes = np.unique(users, return_inverse=True)
    finite = np.where(np.isnan(scores), -np.inf, scores)
    order = np.lexsort((np.arange(len(users)), -finite, priorities, codes))
    sorted_codes = codes[order]
    starts = np.flatnonzero(np.r_[True, sorted_codes[1:] != sorted_codes[:-1]])
    place = np.arange(len(users)) - np.repeat(starts, np.diff(np.r_[starts, len(users)]))
    met = np.empty(len(users), dtype=bool)
    met[order] = place < left[order]
    return met
