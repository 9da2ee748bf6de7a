"""BG/NBD against its paper, against integrals worked out another way, and against what it should refuse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from capflow_assets.errors import ModelError
from capflow_assets.learning.btyd import BgNbd, fit_bg_nbd
from capflow_assets_tests.learning.cdnow import CALIBRATION_END, histories, purchase_days

PAPER = BgNbd(0.243, 4.414, 0.793, 2.426, -9582.43)


def test_the_papers_figures_hold_on_cdnow() -> None:
    days = purchase_days()
    users = histories(days)
    model = fit_bg_nbd(users["x"], users["t_x"], users["T"])
    assert len(users) == 2357
    assert (round(model.r, 3), round(model.alpha, 3)) == (0.243, 4.414)
    assert (round(model.a, 3), round(model.b, 3)) == (0.793, 2.426)
    assert round(model.log_likelihood, 2) == -9582.43
    expected = model.expected_purchases(users["x"], users["t_x"], users["T"], 39).sum()
    assert expected == pytest.approx(1653, abs=5)
    assert (days["day"] > CALIBRATION_END).sum() == 1882


def test_weights_stand_for_repeated_users() -> None:
    x, t_x, T = [0, 1, 3, 0], [0, 2, 8, 0], [10, 9, 12, 4]
    weighted = fit_bg_nbd(x, t_x, T, [5, 3, 2, 4])
    repeated = fit_bg_nbd(*(np.repeat(values, [5, 3, 2, 4]) for values in (x, t_x, T)))
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    assert weighted.r == pytest.approx(repeated.r, rel=1e-9)


def test_the_unit_of_time_only_scales_alpha() -> None:
    users = histories(purchase_days())
    weeks = fit_bg_nbd(users["x"], users["t_x"], users["T"])
    days = fit_bg_nbd(users["x"], users["t_x"] * 7, users["T"] * 7)
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-4)
    assert days.a == pytest.approx(weeks.a, rel=1e-4)
    assert days.log_likelihood == pytest.approx(weeks.log_likelihood - np.log(7) * users["x"].sum(), abs=1e-3)


def likelihood(model: BgNbd, x: int, t_x: float, T: float) -> float:
    """Eq. (3) averaged over the rate in closed form and over the chance to leave by quadrature."""

    def gamma_moment(until: float) -> float:
        # E[rate^x exp(-rate until)]: alpha^r Gamma(r + x) / Gamma(r) / (alpha + until)^(r + x)
        steps = np.prod(model.r + np.arange(x))
        return float(model.alpha**model.r * steps / (model.alpha + until) ** (model.r + x))

    def given(p: float) -> float:
        stayed = (1 - p) ** x * gamma_moment(T)
        left = p * (1 - p) ** (x - 1) * gamma_moment(t_x) if x else 0.0
        return float((stayed + left) * beta.pdf(p, model.a, model.b))

    return float(quad(given, 0, 1, epsabs=1e-14, limit=400)[0])


def expected(model: BgNbd, x: int, T: float, horizon: float) -> float:
    """What eq. (10) divides by the likelihood, by quadrature: purchases of a user who is active at T, times that."""

    def given(p: float) -> float:
        steps = np.prod(model.r + np.arange(x))
        power = model.r + x
        start = (model.alpha + T) ** -power - (model.alpha + T + p * horizon) ** -power
        return float((1 - p) ** x * model.alpha**model.r * steps * start / p * beta.pdf(p, model.a, model.b))

    return float(quad(given, 0, 1, epsabs=1e-14, limit=400)[0])


@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 20.0), (1, 3.0, 20.0), (2, 30.43, 38.86), (6, 19.5, 20.0)])
@pytest.mark.parametrize("model", [PAPER, BgNbd(1.5, 8.0, 1.0, 4.0, 0.0), BgNbd(2.0, 5.0, 2.5, 1.2, 0.0)])
def test_expectations_agree_with_integrals(model: BgNbd, x: int, t_x: float, T: float) -> None:
    whole = likelihood(model, x, t_x, T)
    assert model.expected_purchases(x, t_x, T, 39.0) == pytest.approx(expected(model, x, T, 39.0) / whole, rel=1e-5)


def test_the_papers_user_is_likely_to_be_active() -> None:
    # The user of the authors' spreadsheet: x = 2, t_x = 30.43, T = 38.86 expects 1.226 purchases in 39 weeks.
    assert PAPER.expected_purchases(2, 30.43, 38.86, 39.0) == pytest.approx(1.226, abs=5e-4)
    # 1 + a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x), by hand: 1 + 0.793 / 3.426 * (43.274 / 34.844)^2.243
    assert PAPER.p_alive(2, 30.43, 38.86) == pytest.approx(1 / (1 + 0.231465 * 1.241935**2.243), rel=1e-5)
    assert PAPER.p_alive(0, 0, 38.86) == 1


def test_closed_form_and_integral_are_one() -> None:
    x, T = np.array([0.0, 1.0, 7.0, 200.0]), np.array([0.0, 10.0, 52.0, 104.0])
    for model in (PAPER, BgNbd(0.6, 2.0, 1.0, 1.0, 0.0), BgNbd(3.0, 9.0, 6.0, 40.0, 0.0)):
        closed = model.purchases_in_closed_form(x, T, 13.0)
        assert model.purchases_by_integral(x, T, 13.0) == pytest.approx(closed, rel=1e-3)


@pytest.mark.parametrize("a", [1e-4, 0.5, 1.0, 19.0, 8000.0])
@pytest.mark.parametrize("b", [1e-4, 0.5, 900.0, 8000.0])
@pytest.mark.parametrize("horizon", [0.1, 13.0, 500.0])
def test_expectations_stay_possible_for_extreme_users(a: float, b: float, horizon: float) -> None:
    model = BgNbd(0.3, 2.0, a, b, 0.0)
    x = np.array([0.0, 0.0, 1.0, 50.0, 3000.0])
    T = np.array([0.0, 500.0, 1.0, 60.0, 600.0])
    forecasts = model.expected_purchases(x, np.where(x > 0, T, 0.0), T, horizon)
    assert np.isfinite(forecasts).all()
    assert (forecasts >= 0).all()
    assert (forecasts <= (model.r + x) * horizon / (model.alpha + T) * (1 + 1e-6)).all()


def test_more_time_means_more_purchases() -> None:
    forecasts = [float(PAPER.expected_purchases(3, 10, 12, horizon)) for horizon in (1, 4, 13, 52, 520)]
    assert forecasts == sorted(forecasts)


def test_known_parameters_are_found_again() -> None:
    random = np.random.default_rng(3)
    size, true = 40_000, (0.8, 6.0, 0.9, 3.0)
    rate = random.gamma(true[0], 1 / true[1], size)
    leave = random.beta(true[2], true[3], size)
    T = random.uniform(20, 80, size)
    x, t_x, now, here = np.zeros(size), np.zeros(size), np.zeros(size), np.arange(size)
    while here.size:
        now[here] += random.exponential(1 / rate[here])
        here = here[now[here] <= T[here]]
        x[here] += 1
        t_x[here] = now[here]
        here = here[random.random(here.size) >= leave[here]]
    model = fit_bg_nbd(x, t_x, T)
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx(true, rel=0.08)


@pytest.mark.parametrize(
    ("x", "t_x", "T", "words"),
    [
        ([0, 0], [0, 0], [5, 9], "none with a second purchase day"),
        ([1], [7], [5], "impossible"),
        ([-1, 1], [0, 1], [5, 5], "impossible"),
        ([np.nan, 1], [0, 1], [5, 5], "impossible"),
    ],
)
def test_impossible_histories_are_refused(x: list[float], t_x: list[float], T: list[float], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        fit_bg_nbd(x, t_x, T)
