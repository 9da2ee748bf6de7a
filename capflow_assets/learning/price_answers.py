"""Answers to how users go by the price, and how they are judged: what was saved against others on the same items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.category_elasticity import CERTAINTY_95
from capflow_assets.learning.price_choices import Choices
from capflow_assets.learning.user_elasticity import UserElasticities

TENTH_OFF = 0.9
ALL = "as all users together: nothing of the user's own says more"


def more_at_a_tenth_off(elasticity: np.ndarray) -> np.ndarray:
    """By what share more is bought of an item whose price falls by a tenth.

    >>> more_at_a_tenth_off(np.array([-2.0, 0.0])).round(3).tolist()
    [0.235, 0.0]
    """
    more: np.ndarray = TENTH_OFF**elasticity - 1
    return more


def personal_answers(
    index: pd.Index, choices: Choices, users: UserElasticities, slope: np.ndarray, error: np.ndarray
) -> pd.DataFrame:
    """The answers for users with choices; others get those of somebody who bought what all did.

    ``slope`` and ``error`` are those of the choices' categories. A user's elasticity is the mean of that of the
    categories that the user buys from, by pieces, and the user's own; errors of categories add up as if they had one
    cause, which makes the interval wide rather than narrow.
    """
    of_row = choices.category[choices.item]
    pieces = choices.by_user(choices.pieces)
    mean, unsure = (choices.by_user(choices.pieces * of[of_row]) / pieces for of in (slope, error))
    everybody = float(np.average(slope[of_row], weights=choices.pieces)) if len(of_row) else 0.0
    number = pd.Index(choices.users).get_indexer(index)

    def of_each(of_users: np.ndarray, of_others: Any) -> np.ndarray:
        return np.append(of_users, of_others)[number]  # those without choices have the number -1

    width = CERTAINTY_95 * of_each(np.hypot(unsure, users.error), users.law[0])
    answers = frame_of(index, of_each(mean + users.own, everybody), width)
    strongest = of_each(_strongest(choices, slope), None)
    reasons = _reasons(answers["score"].to_numpy(), strongest, users, number)
    return answers.assign(strongest_category=strongest, expected_saving=of_each(users.saving, 0.0), reasons=reasons)


def frame_of(index: pd.Index, elasticity: np.ndarray, width: np.ndarray) -> pd.DataFrame:
    """``score``, the elasticity and its interval, so far on each side."""
    return pd.DataFrame(
        {
            "score": more_at_a_tenth_off(elasticity),
            "elasticity": elasticity,
            "elasticity_low": elasticity - width,
            "elasticity_high": elasticity + width,
        },
        index=index,
    )


def _strongest(choices: Choices, slope: np.ndarray) -> np.ndarray:
    """Of each user's categories the one whose users go by the price most."""
    row = np.flatnonzero(choices.user >= 0)
    user, category = choices.user[row], choices.category[choices.item[row]]
    order = np.lexsort((category, slope[category], user))
    _, first = np.unique(user[order], return_index=True)
    return choices.categories[category[order][first]]


def _reasons(score: np.ndarray, strongest: np.ndarray, users: UserElasticities, number: np.ndarray) -> list[str]:
    texts = []
    for place, more, category in zip(number, score, strongest, strict=True):
        change = f"takes about {abs(more):.0%} {'more' if more >= 0 else 'less'} at a tenth off"
        if place < 0 or not users.pieces[place]:
            texts.append(f"{change}, {ALL}")
            continue
        reduced, pieces, usual = users.reduced[place], users.pieces[place], users.reduced_usual[place]
        texts.append(
            f"{change}; {reduced:.0f} of {pieces:.0f} pieces bought below the usual price, "
            f"{usual:.1f} would be usual; most in {category}"
        )
    return texts


def saving_explained(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of the squares of what users saved that is explained, by pieces; 0 if all are said to save nothing.

    >>> came = pd.DataFrame({"pieces": [1.0, 1.0], "saving": [0.2, -0.2]})
    >>> round(saving_explained(came, pd.DataFrame({"expected_saving": [0.1, -0.1]})), 3)
    0.75
    """
    return saving_counted(outcomes, answers)(np.ones(len(outcomes)))


def saving_counted(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Callable[[np.ndarray], float]:
    """The same of rows drawn so many times each."""
    received, expected = outcomes["saving"].to_numpy(dtype=float), answers["expected_saving"].to_numpy(dtype=float)
    pieces = outcomes["pieces"].to_numpy(dtype=float)
    squares, left = pieces * received**2, pieces * (received - expected) ** 2

    def of_counts(counts: np.ndarray) -> float:
        total = float(counts @ squares)
        if not total > 0:
            raise EvidenceError(
                "Nothing can be judged by what users saved",
                expected="users who paid other prices than others for the same items",
                came=f"{len(received)} users who all paid alike",
                do="wait for a horizon in which prices move",
            )
        return 1 - float(counts @ left) / total

    return of_counts


def saving_slope(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How much was saved for each unit that was expected, over users by their pieces; 1 is right, 0 if none was."""
    received, expected = outcomes["saving"].to_numpy(dtype=float), answers["expected_saving"].to_numpy(dtype=float)
    pieces = outcomes["pieces"].to_numpy(dtype=float)
    scale = float(pieces @ expected**2)
    return float(pieces @ (received * expected)) / scale if scale > 0 else 0.0
