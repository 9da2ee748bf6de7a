"""Pareto/NBD against its published figures, its closed forms, and users drawn from its laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import hyp2f1

from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.pareto_nbd import ParetoNbd, fit_pareto_nbd
from capflow_assets_tests.learning.cdnow import histories, purchase_days

PAPER = ParetoNbd(0.553, 10.578, 0.606, 11.669, -9595.0)


def test_the_published_figures_hold_on_cdnow() -> None:
    """Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way", table 2."""
    users = histories(purchase_days())
    model = fit_pareto_nbd(users["x"], users["t_x"], users["T"])
    assert [round(value, 3) for value in (model.r, model.alpha, model.s, model.beta)] == [0.553, 10.578, 0.606, 11.669]
    assert round(model.log_likelihood, 1) == -9595.0


def closed_p_alive(model: ParetoNbd, x: float, t_x: float, T: float) -> float:
    """1 / (1 + s / (r + s + x) (alpha + T)^(r + x) (beta + T)^s A0), by hypergeometric functions."""
    r, alpha, s, beta = model.r, model.alpha, model.s, model.beta
    c, far = r + s + x, max(alpha, beta)
    second = s + 1 if alpha >= beta else r + x

    def term(t: float) -> float:
        return float(hyp2f1(c, second, c + 1, abs(alpha - beta) / (far + t)) / (far + t) ** c)

    return float(1 / (1 + s / c * (alpha + T) ** (r + x) * (beta + T) ** s * (term(t_x) - term(T))))


@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 20.0), (1, 3.0, 20.0), (2, 30.43, 38.86), (7, 29.4, 35.0)])
@pytest.mark.parametrize("model", [PAPER, ParetoNbd(0.6, 12.0, 0.7, 3.0, 0.0), ParetoNbd(2.0, 1.0, 1.5, 30.0, 0.0)])
def test_chances_are_those_of_the_closed_form(model: ParetoNbd, x: int, t_x: float, T: float) -> None:
    assert model.p_alive(x, t_x, T) == pytest.approx(closed_p_alive(model, x, t_x, T), rel=1e-5)


def test_expectations_by_hand() -> None:
    # s = 2: (r + x) (beta + T) / (alpha + T) (1 - (beta + T) / (beta + T + t)) = 3 * 20 / 15 * (1 - 20 / 30) = 4 / 3.
    model = ParetoNbd(1.0, 5.0, 2.0, 10.0, 0.0)
    assert model.expected_purchases(2, 8.0, 10.0, 10.0) == pytest.approx(4 / 3 * model.p_alive(2, 8.0, 10.0))
    # s = 1: 3 / 15 * 20 * ln(30 / 20).
    model = ParetoNbd(1.0, 5.0, 1.0, 10.0, 0.0)
    assert model.expected_purchases(2, 8.0, 10.0, 10.0) == pytest.approx(4 * np.log(1.5) * model.p_alive(2, 8.0, 10.0))


def test_who_bought_just_now_is_active() -> None:
    assert PAPER.p_alive([0, 3], [0, 12], [0, 12]).tolist() == [1.0, 1.0]


def test_planted_parameters_are_recovered_and_what_is_expected_comes() -> None:
    random = np.random.default_rng(3)
    users, horizon, law = 40_000, 26.0, (0.8, 6.0, 1.2, 30.0)
    rate, leave = random.gamma(law[0], 1 / law[1], users), random.gamma(law[2], 1 / law[3], users)
    T = random.uniform(20, 80, users)
    gone = random.exponential(1 / leave)
    x = random.poisson(rate * np.minimum(gone, T)).astype(float)
    # The last of x points that lie anywhere until then is the largest of x uniform draws.
    t_x = np.where(x > 0, np.minimum(gone, T) * random.random(users) ** (1 / np.maximum(x, 1)), 0.0)
    future = random.poisson(rate * np.clip(gone - T, 0, horizon))
    model = fit_pareto_nbd(x, t_x, T)
    assert (model.r, model.alpha, model.s, model.beta) == pytest.approx(law, rel=0.15)
    missed = future - ParetoNbd(*law, log_likelihood=0.0).expected_purchases(x, t_x, T, horizon)
    for group in (x == 0, x == 1, (x > 1) & (T - t_x > 15), (x > 1) & (T - t_x <= 15)):
        assert abs(missed[group].mean()) < 4 * missed[group].std() / np.sqrt(group.sum())


def test_weights_stand_for_repeated_users() -> None:
    x, t_x, T, times = [0, 1, 3, 0], [0, 2, 8, 0], [10, 9, 12, 4], [5, 3, 2, 4]
    weighted = fit_pareto_nbd(x, t_x, T, times)
    repeated = fit_pareto_nbd(*(np.repeat(values, times) for values in (x, t_x, T)))
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-9)


def test_expectations_stay_possible_for_extreme_users() -> None:
    x, T = np.array([0.0, 0.0, 1.0, 50.0, 3000.0]), np.array([0.0, 500.0, 1.0, 60.0, 600.0])
    for model in (ParetoNbd(1e-4, 1e-4, 8000.0, 1e-4, 0.0), ParetoNbd(8000.0, 8000.0, 1e-4, 8000.0, 0.0), PAPER):
        for horizon in (0.1, 13.0, 500.0):
            purchases = model.expected_purchases(x, np.where(x > 0, T / 2, 0.0), T, horizon)
            assert np.isfinite(purchases).all()
            assert (purchases >= 0).all()


def test_histories_that_cannot_be_fitted_are_refused() -> None:
    with pytest.raises(EvidenceError, match="Pareto/NBD cannot be fitted"):
        fit_pareto_nbd([0, 0], [0, 0], [5, 9])
    with pytest.raises(ModelError, match="impossible"):
        fit_pareto_nbd([1], [7], [5])
