"""MBG/CNBD-k against its papers, against integrals worked out another way, and against users drawn from its laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import beta, gamma

from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.btyd import BgNbd
from capflow_assets.learning.dropout_likelihood import DropoutLikelihood
from capflow_assets.learning.mbg_cnbd import MbgCnbd, fit_mbg_cnbd
from capflow_assets_tests.learning.cdnow import CALIBRATION_END, histories, purchase_days

LAW = {"r": 0.85, "alpha": 4.0, "a": 0.79, "b": 4.0}


def drawn(k: int, users: int, horizon: float, seed: int = 0) -> pd.DataFrame:
    """Users drawn from the laws: ``x``, ``t_x``, ``T``, ``log_gaps`` and what they buy in the ``horizon`` after."""
    random = np.random.default_rng(seed)
    rate = random.gamma(LAW["r"], 1 / LAW["alpha"], users)
    leave = random.beta(LAW["a"], LAW["b"], users)
    T = random.uniform(12, 96, users)
    x, t_x, log_gaps, future, now = (np.zeros(users) for _ in range(5))
    here = np.flatnonzero(random.random(users) >= leave)
    while here.size:
        gap = random.gamma(k, 1 / rate[here])
        now[here] += gap
        is_past = now[here] <= T[here]
        past = here[is_past]
        x[past] += 1
        t_x[past] = now[past]
        log_gaps[past] += np.log(gap[is_past])
        future[here] += ~is_past & (now[here] <= T[here] + horizon)
        here = here[(now[here] <= T[here] + horizon) & (random.random(here.size) >= leave[here])]
    return pd.DataFrame({"x": x, "t_x": t_x, "T": T, "log_gaps": log_gaps, "future": future})


def both(model: MbgCnbd, x: int, t_x: float, T: float) -> tuple[float, float]:
    """The likelihood of a history with the user active, and gone, by quadrature over the rate and over leaving."""

    def over_rates(until: float, still: float) -> float:
        def given(rate: float) -> float:
            few = sum((rate * still) ** j / np.prod(np.arange(1, j + 1)) for j in range(model.k)) if still else 1.0
            return float(
                rate ** (model.k * x) * np.exp(-rate * until) * few * gamma.pdf(rate, model.r, 0, 1 / model.alpha)
            )

        return float(quad(given, 0, np.inf, limit=400)[0])

    stayed = quad(lambda p: (1 - p) ** (x + 1) * beta.pdf(p, model.a, model.b), 0, 1, limit=400)[0]
    left = quad(lambda p: p * (1 - p) ** x * beta.pdf(p, model.a, model.b), 0, 1, limit=400)[0]
    return stayed * over_rates(T, T - t_x), left * over_rates(t_x, 0.0)


def test_the_papers_figures_hold_on_cdnow() -> None:
    """Batislam, Denizel & Filiztekin (2007), table 2; Platzer & Reutterer find no rhythm in these users."""
    days = purchase_days()
    users = histories(days)
    seen = days[days["day"] <= CALIBRATION_END].sort_values(["user_id", "day"])
    gaps = seen.groupby("user_id")["day"].diff().dt.days.dropna() / 7
    model = fit_mbg_cnbd(users["x"], users["t_x"], users["T"], float(np.log(gaps).sum()))
    assert model.k == 1
    assert [round(value, 3) for value in (model.r, model.alpha, model.a, model.b)] == [0.525, 6.183, 0.891, 1.614]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 20.0), (1, 3.0, 20.0), (4, 19.5, 20.0)])
def test_likelihood_and_chance_agree_with_integrals(k: int, x: int, t_x: float, T: float) -> None:
    model = MbgCnbd(k, 1.5, 6.0, 0.8, 2.4, 0.0)
    active, left = both(model, x, t_x, T)
    assert model.p_alive(x, t_x, T) == pytest.approx(active / (active + left), rel=1e-6)
    history = pd.DataFrame({"x": [float(x)], "t_x": [t_x], "T": [T], "weight": [1.0]})
    likelihood = DropoutLikelihood(history, 5.0, k, leaves_at_first=True)
    value, _ = likelihood(np.log([model.r, model.alpha / 5.0, model.a, model.b]))
    assert likelihood.total(value) == pytest.approx(np.log(active + left), rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_gradient_is_that_of_the_likelihood(k: int) -> None:
    users = drawn(2, 300, 1.0)
    likelihood = DropoutLikelihood(users.assign(weight=1.0), 50.0, k, leaves_at_first=True)
    theta, step = np.array([0.1, -0.7, -0.3, 0.9]), 1e-5
    differences = [
        (likelihood(theta + step * side)[0] - likelihood(theta - step * side)[0]) / (2 * step) for side in np.eye(4)
    ]
    assert likelihood(theta)[1] == pytest.approx(differences, rel=1e-5)


def test_a_rhythm_is_recovered_with_its_parameters() -> None:
    users = drawn(2, 20_000, 1.0, seed=4)
    model = fit_mbg_cnbd(users["x"], users["t_x"], users["T"], float(users["log_gaps"].sum()))
    assert model.k == 2
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx(tuple(LAW.values()), rel=0.1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_what_is_expected_comes(k: int) -> None:
    """Of users alike in their past, within four standard errors."""
    horizon = 26.0
    users = drawn(k, 120_000, horizon, seed=k)
    model = MbgCnbd(k, *LAW.values(), log_likelihood=0.0)
    expected = model.expected_purchases(users["x"], users["t_x"], users["T"], horizon)
    # By how often they bought, and by how long they have been silent.
    groups = [np.minimum(users["x"], 4), (users["T"] - users["t_x"] > 20).rename("silent")]
    for _, group in users.assign(missed=users["future"] - expected).groupby(groups):
        assert abs(group["missed"].mean()) < 4 * group["missed"].std() / np.sqrt(len(group))


def test_one_event_a_purchase_is_a_bg_nbd_that_refused_once_more() -> None:
    x, t_x, T = np.array([0.0, 2.0, 9.0]), np.array([0.0, 5.0, 30.0]), np.array([8.0, 30.0, 31.0])
    model, other = MbgCnbd(1, 0.6, 5.0, 0.9, 2.0, 0.0), BgNbd(0.6, 5.0, 0.9, 3.0, 0.0)
    figures = model.expected_purchases(x, t_x, T, 13.0) / model.p_alive(x, t_x, T)
    assert figures == pytest.approx(other.expected_purchases(x, t_x, T, 13.0) / other.p_alive(x, t_x, T), rel=1e-9)


@pytest.mark.parametrize("k", [1, 2, 6])
def test_expectations_stay_possible_for_extreme_users(k: int) -> None:
    model = MbgCnbd(k, 0.3, 2.0, 0.5, 900.0, 0.0)
    x, T = np.array([0.0, 0.0, 1.0, 50.0, 3000.0]), np.array([0.0, 500.0, 1.0, 60.0, 600.0])
    figures = [model.expected_purchases(x, np.where(x > 0, T, 0.0), T, horizon) for horizon in (0.1, 13.0, 500.0)]
    assert np.isfinite(figures).all()
    assert (np.diff(figures, axis=0) >= 0).all()
    assert np.min(figures) >= 0


def test_who_came_like_a_clock_and_stopped_is_likelier_gone() -> None:
    """Ten purchases a week apart, then four weeks of silence: rarer among users with a rhythm."""
    plain, regular = MbgCnbd(1, 1.0, 1.0, 0.5, 5.0, 0.0), MbgCnbd(4, 1.0, 0.25, 0.5, 5.0, 0.0)
    assert regular.p_alive(10, 10, 14) < 0.5 * plain.p_alive(10, 10, 14)


def test_nobody_asked_about_is_nobody_answered_for() -> None:
    assert MbgCnbd(2, 1.0, 1.0, 1.0, 1.0, 0.0).expected_purchases([], [], [], 13.0).tolist() == []


def test_histories_that_cannot_be_fitted_are_refused() -> None:
    with pytest.raises(EvidenceError, match="MBG/CNBD-k cannot be fitted"):
        fit_mbg_cnbd([0, 0], [0, 0], [5, 9], 0.0)
    with pytest.raises(ModelError, match="impossible"):
        fit_mbg_cnbd([1], [7], [5], 0.0)
