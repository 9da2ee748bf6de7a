"""The Qini curve by hand, by Radcliffe's formula row by row, and under resampling of users."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.qini import (
    policy_value,
    prognostic_imbalance,
    qini_coefficient,
    qini_curve,
    targeting_gain,
)

# Best score first: treated and held out in turn.
TREATED = np.array([1, 0, 1, 0, 1, 0])
OUTCOME = np.array([4.0, 1.0, 2.0, 1.0, 0.0, 1.0])
SCORE = np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
LOT = np.array(["c"] * 6)


def radcliffe(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray) -> list[tuple[float, float]]:
    """``R_t - R_c N_t / N_c`` over the number treated, after each row; only where both groups are above."""
    curve, rows = [(0.0, 0.0)], sorted(zip(-score, outcome, treated, strict=True))
    r_t = r_c = n_t = n_c = 0.0
    for _, y, is_treated in rows:
        r_t, n_t = r_t + y * is_treated, n_t + is_treated
        r_c, n_c = r_c + y * (1 - is_treated), n_c + 1 - is_treated
        if n_t and n_c:
            share = (n_t / treated.sum() + n_c / (1 - treated).sum()) / 2
            curve.append((share, (r_t - r_c * n_t / n_c) / treated.sum()))
    return curve


def test_the_curve_and_its_area_by_hand() -> None:
    # After two rows: a third of the treated times (4 - 1); after three: two thirds times (3 - 1); and so on.
    share, gain = qini_curve(OUTCOME, TREATED, SCORE, LOT)
    assert share.tolist() == pytest.approx([0, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert gain.tolist() == pytest.approx([0, 1, 4 / 3, 4 / 3, 1, 1])
    # Trapezoids 6, 7, 8, 7 and 6 36ths, less the triangle of a random order, 18.
    assert qini_coefficient(OUTCOME, TREATED, SCORE, LOT) == pytest.approx(16 / 36)


def test_it_is_radcliffes_curve_whatever_the_sizes_of_the_groups() -> None:
    random = np.random.default_rng(0)
    treated = (random.random(200) < 0.85).astype(int)
    outcome, score = random.poisson(1.0, 200).astype(float), random.random(200)
    share, gain = qini_curve(outcome, treated, score, np.zeros(200))
    assert np.column_stack([share, gain]) == pytest.approx(np.array(radcliffe(outcome, treated, score)))


def test_half_the_rows_that_answer_by_one_make_an_eighth() -> None:
    answers = np.repeat([1.0, 0.0], 1000)
    treated = np.tile([1, 0], 1000)
    # The line rises to a half at a half and stays there: 1/8 + 1/4, less 1/4. Upside down: minus as much.
    best = qini_coefficient(answers * treated, treated, answers, np.zeros(2000))
    assert best == pytest.approx(1 / 8)
    assert qini_coefficient(answers * treated, treated, -answers, np.zeros(2000)) == pytest.approx(-1 / 8)


def test_one_score_for_all_is_a_random_order() -> None:
    assert qini_coefficient(OUTCOME, TREATED, np.zeros(6), LOT) == pytest.approx(0)


def test_the_order_of_the_rows_is_irrelevant_among_equal_scores_too() -> None:
    score = np.array([3.0, 3.0, 3.0, 1.0, 1.0, 1.0])
    order = [5, 1, 3, 0, 4, 2]
    one = qini_coefficient(OUTCOME, TREATED, score, LOT)
    assert qini_coefficient(OUTCOME[order], TREATED[order], score[order], LOT) == pytest.approx(one)
    # Above the tie: two treated of three, (3 - 1), at the middle of all; the whole: 1. Area 1/3 + 7/12, less 1/2.
    assert one == pytest.approx((4 / 3 * 0.5 / 2) + (4 / 3 + 1) / 2 * 0.5 - 0.5)


def test_unequal_lots_are_compared_each_with_itself() -> None:
    """A campaign of a high season that held few out and one of a low season that held half out; neither does anything.

    Scores that know the season would pass for a good order if rows did not weigh by their campaign's share treated.
    """
    random = np.random.default_rng(3)
    lot = np.repeat([0, 1], 20_000)
    treated = (random.random(40_000) < np.where(lot == 0, 0.9, 0.5)).astype(int)
    outcome = random.poisson(np.where(lot == 0, 4.0, 1.0)).astype(float)
    score = -lot + random.random(40_000) / 10
    assert abs(qini_curve(outcome, treated, score, lot).gain[-1]) < 0.06
    assert abs(qini_coefficient(outcome, treated, score, lot)) < 0.05
    assert qini_curve(outcome, treated, score, np.zeros(40_000)).gain[-1] > 0.8


def test_lots_without_both_groups_are_left_out() -> None:
    more = (np.array([9.0, 9.0]), np.array([1, 1]), np.array([7.0, 0.0]), np.array(["no control", "no control"]))
    rows = zip((OUTCOME, TREATED, SCORE, LOT), more, strict=True)
    assert qini_coefficient(*(np.append(one, other) for one, other in rows)) == pytest.approx(16 / 36)
    with pytest.raises(EvidenceError, match="1 campaigns, 2 rows treated, 0 held out"):
        qini_curve(*more)


def test_the_value_of_a_policy_by_hand() -> None:
    chosen = SCORE > 3
    # Of the chosen, those treated had 4 and 2; of the others, those held out had 1 and 1.
    assert policy_value(OUTCOME, TREATED, chosen, LOT) == 2
    assert policy_value(OUTCOME, TREATED, np.ones(6, dtype=bool), LOT) == 2
    assert policy_value(OUTCOME, TREATED, np.zeros(6, dtype=bool), LOT) == 1
    assert targeting_gain(OUTCOME, TREATED, SCORE, LOT, 0.5) == pytest.approx(2 - (2 + 1) / 2)


def test_a_policy_weighs_by_the_chance_that_a_row_got_what_it_says() -> None:
    # Three of four treated: one held out stands for four rows, a treated one for four thirds.
    treated, outcome = np.array([1, 1, 1, 0]), np.array([3.0, 0.0, 0.0, 1.0])
    chosen = np.array([True, False, False, False])
    assert policy_value(outcome, treated, chosen, np.zeros(4)) == pytest.approx((3 * 4 / 3 + 1 * 4) / (4 / 3 + 4))
    assert np.isnan(policy_value(outcome, treated, chosen, np.arange(4)))


def test_groups_that_a_fair_draw_would_make_are_balanced_and_others_are_not() -> None:
    random = np.random.default_rng(0)
    prognosis, lot = random.gamma(1.0, 2.0, 2000), np.zeros(2000)
    fair = (random.random(2000) < 0.8).astype(float)
    assert prognostic_imbalance(prognosis, fair, lot) < 0.02
    # The best were addressed and the worst left alone.
    chosen = (prognosis > np.quantile(prognosis, 0.2)).astype(float)
    assert prognostic_imbalance(prognosis, chosen, lot) > 0.5
    assert prognostic_imbalance(np.ones(2000), chosen, lot) == 0
