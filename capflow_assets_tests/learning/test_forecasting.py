"""Methods against other programs and by hand, and the choice among them out of time."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.forecasting import (
    METHODS,
    best_method,
    ets,
    forecast,
    may_use,
    mstl_year,
    naive_error,
    seasonal_naive,
    stretches,
    weekday_mean,
)

PROFILE = np.array([4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 1.0])


def noisy(days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(np.resize(PROFILE, days)).astype(float)


def test_the_seasonal_naive_is_that_of_statsforecast() -> None:
    from statsforecast.models import SeasonalNaive

    history = noisy(60)
    expected = SeasonalNaive(season_length=7).forecast(y=history, h=28)["mean"]
    np.testing.assert_allclose(seasonal_naive(history, 28), expected)


def test_the_mean_of_weekdays_is_that_of_statsforecast() -> None:
    from statsforecast.models import SeasonalWindowAverage

    history = noisy(60)
    expected = SeasonalWindowAverage(season_length=7, window_size=8).forecast(y=history, h=28)["mean"]
    np.testing.assert_allclose(weekday_mean(history, 28), expected)


def test_smoothing_agrees_with_that_of_statsmodels() -> None:
    """Two optimisers of one likelihood: their forecasts are alike to a hundredth of the level."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    history = noisy(182)
    other = ETSModel(history, error="add", trend=None, seasonal="add", seasonal_periods=7).fit(disp=False)
    np.testing.assert_allclose(ets(history, 28), other.forecast(28), atol=0.01 * history.mean() + 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_a_week_that_repeats_is_carried_forward(method: str) -> None:
    history = np.resize(PROFILE, 7 * 110)
    np.testing.assert_allclose(forecast(method, history, 28), np.resize(PROFILE, 28), atol=0.05)


def test_a_yearly_season_is_carried_forward_where_two_years_lie_before() -> None:
    """A wave of a year around 20: at its end the plain means are at the crest, four weeks on it has sunk."""
    days = np.arange(1092)
    wave = 20 + 10 * np.cos(2 * np.pi * (days - 700) / 365.25)
    history, actual = wave[:1064], wave[1064:]
    error = np.abs(mstl_year(history, 28) - actual).mean()
    assert error < 0.5
    assert error < np.abs(weekday_mean(history, 28) - actual).mean() / 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("days", [1, 6, 7, 8, 14, 15, 29, 140])
def test_any_history_is_carried_forward(method: str, days: int) -> None:
    for history in (noisy(days), np.zeros(days), np.full(days, 3.0), np.eye(1, days, days // 2)[0]):
        ahead = forecast(method, history, 28)
        assert ahead.shape == (28,)
        assert np.isfinite(ahead).all()
        assert (ahead >= 0).all()
        assert ahead.max() <= 2 * history.max()


def test_no_forecast_is_below_zero() -> None:
    history = np.concatenate([np.full(60, 50.0), np.linspace(50, 0, 60)])
    assert (ets(history, 28) < 0).any(), "the method itself goes below"
    assert forecast("ets", history, 28).min() == 0


def test_stretches_have_four_weeks_before_them() -> None:
    assert stretches(84, 28, 3) == [56, 28]
    assert stretches(83, 28, 3) == [55]
    assert stretches(55, 28, 3) == []


def test_the_method_with_the_least_error_is_chosen() -> None:
    """Weeks at levels of their own are best carried on by the last one; noise around a profile by its mean."""
    levels = np.repeat([1.0, 1.0, 9.0, 9.0, 9.0, 9.0, 2.0, 2.0, 2.0, 2.0], 14)
    chosen = best_method(levels, 28, 1, ("seasonal_naive", "weekday_mean"))
    assert chosen is not None
    assert chosen.method == "seasonal_naive"
    around = best_method(noisy(200), 28, 2, ("seasonal_naive", "weekday_mean"))
    assert around is not None
    assert around.method == "weekday_mean"


def test_past_forecasts_see_nothing_of_what_they_are_held_against() -> None:
    history = noisy(140)
    past = best_method(history, 28, 2, ("weekday_mean",))
    assert past is not None
    by_hand = [history[start - 56 : start].reshape(8, 7).mean(axis=0) for start in (112, 84)]
    np.testing.assert_allclose(past.forecasts, [np.resize(week, 28) for week in by_hand])
    np.testing.assert_array_equal(past.actual, [history[112:], history[84:112]])
    assert past.error == pytest.approx(np.abs(past.forecasts - past.actual).mean())


def test_methods_that_the_oldest_stretch_is_too_short_for_take_no_part() -> None:
    assert not may_use("mstl_year", 730)
    past = best_method(noisy(740), 28, 2, ("seasonal_naive", "mstl_year"))
    assert past is not None
    assert past.method == "seasonal_naive"


def test_a_history_without_a_stretch_has_no_best_method() -> None:
    assert best_method(noisy(55), 28, 2, tuple(METHODS)) is None


def test_the_unit_of_a_scaled_error_by_hand() -> None:
    history = np.array([1.0, 2, 3, 4, 5, 6, 7, 3, 2, 3, 4, 5, 6, 11])
    assert naive_error(history) == pytest.approx((2 + 4) / 7)
    assert naive_error(np.array([2.0, 4.0])) == 3.0
    assert naive_error(np.zeros(30)) == 1.0
