from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.forecast_intervals import NORMAL, PRIOR_BILLS, TAILS, Errors, weighted_quantiles, widths


def test_quantiles_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    values, weights = random.normal(size=500), random.integers(1, 9, 500).astype(float)
    expected = np.quantile(values, TAILS, weights=weights, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values, weights, TAILS), expected)


def test_dispersions_by_hand() -> None:
    """Forecasts of 4 at a level of 4, so a variance of 4 a day; a errs by 4 twice, b by 0 and 2."""
    errors = {
        "a": Errors(np.array([4.0, 4.0]), np.array([8.0, 0.0]), 4.0),
        "b": Errors(np.array([4.0, 4.0]), np.array([4.0, 6.0]), 4.0),
    }
    wide = widths(errors)
    pooled = (32 + 4) / 16
    assert wide.pooled == pytest.approx(pooled**0.5)
    assert wide.dispersions["a"] == pytest.approx(((32 + PRIOR_BILLS * pooled) / (8 + PRIOR_BILLS)) ** 0.5)
    assert wide.dispersions["b"] == pytest.approx(((4 + PRIOR_BILLS * pooled) / (8 + PRIOR_BILLS)) ** 0.5)
    largest = 4 / (2 * wide.dispersions["a"])
    assert wide.quantiles.tolist() == pytest.approx([-largest, -largest, largest, largest])
    ends = wide.ends("a", np.array([4.0, 2.0]), 4.0)
    assert ends[:, 0].tolist() == pytest.approx([0, 0, 8, 8])
    assert ends[3, 1] == pytest.approx(2 + largest * wide.dispersions["a"] * 3**0.5)


def test_intervals_hold_what_they_say_of_counts_as_scattered_as_their_past() -> None:
    """Three kinds of series, one of them three times as scattered as a Poisson count; the days after are held."""
    random = np.random.default_rng(7)

    def counts(store: int, days: int) -> np.ndarray:
        if store % 3 == 0:
            return random.negative_binomial(5, 5 / (5 + 40), days).astype(float)
        return random.poisson(40 if store % 3 == 1 else 6, days).astype(float)

    means = [(40.0, 40.0, 6.0)[store % 3] for store in range(60)]
    past = {str(store): Errors(np.full(56, mean), counts(store, 56), mean) for store, mean in enumerate(means)}
    wide = widths(past)
    inside = {80: [], 95: []}
    for store, mean in enumerate(means):
        ends = wide.ends(str(store), np.full(500, mean), mean)
        actual = counts(store, 500)
        inside[95].append(((actual >= ends[0]) & (actual <= ends[3])).mean())
        inside[80].append(((actual >= ends[1]) & (actual <= ends[2])).mean())
    for kind in (0, 1):
        assert np.mean(inside[80][kind::3]) == pytest.approx(0.8, abs=0.05)
        assert np.mean(inside[95][kind::3]) == pytest.approx(0.95, abs=0.025)
    assert wide.dispersions["0"] == pytest.approx(3, rel=0.35)
    assert wide.dispersions["1"] == pytest.approx(1, rel=0.35)


def test_a_series_that_is_not_known_is_as_scattered_as_all() -> None:
    errors = {"a": Errors(np.full(100, 4.0), np.full(100, 8.0), 4.0)}
    wide = widths(errors)
    assert wide.ends("new", np.array([1.0]), 1.0)[3] > 1.0
    np.testing.assert_allclose(wide.ends("new", np.array([4.0]), 4.0)[0], 4.0)


def test_without_past_errors_counts_are_poisson() -> None:
    ends = widths({}).ends("a", np.array([25.0]), 25.0)
    np.testing.assert_allclose(ends[:, 0], 25 + 5 * np.array(NORMAL))


@pytest.mark.parametrize("actual", [0.0, 4.0])
def test_a_series_that_never_erred_or_never_sold_has_intervals_of_a_point(actual: float) -> None:
    errors = {"a": Errors(np.full(10, actual), np.full(10, actual), actual)}
    ends = widths(errors).ends("a", np.array([0.0]), 0.0)
    assert ends.ravel().tolist() == [0, 0, 0, 0]
