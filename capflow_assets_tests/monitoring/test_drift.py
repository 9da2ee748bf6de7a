"""PSI by hand, its corner cases, and that chance alone is not called drift."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.monitoring.drift import EPSILON, Reference, psi, reference


def drift(then: list[float | None], now: list[float | None], bins: int = 10) -> pd.Series:
    columns = [pd.DataFrame({"visits": pd.Series(values, dtype=float)}) for values in (then, now)]
    return psi(reference(columns[0], bins), columns[1]).iloc[0]


def test_psi_by_hand() -> None:
    # Bins (-inf, 5] and (5, inf): half each then, 0.8 and 0.2 now
    then, now = list(range(1, 11)), [1.0] * 8 + [9.0] * 2
    expected = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert drift([float(value) for value in then], now, bins=2)["psi"] == pytest.approx(expected)


def test_the_same_frame_has_not_drifted_at_all() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=500), "b": random.integers(0, 3, 500), "c": [None, 1.0] * 250})
    drifts = psi(reference(frame), frame)
    assert drifts["psi"].tolist() == [0.0, 0.0, 0.0]
    assert not drifts["over"].any()


def test_rows_in_another_order_and_twice_as_many_are_the_same() -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=500)})
    assert psi(reference(frame), pd.concat([frame[::-1], frame]))["psi"].item() == pytest.approx(0, abs=1e-12)


def test_nulls_are_a_bin_of_their_own() -> None:
    figures = drift([1.0, 1.0, None, None], [1.0, None, None, None])
    assert (figures["null_share_then"], figures["null_share_now"]) == (0.5, 0.75)
    expected = (0.75 - 0.5) * math.log(0.75 / 0.5) + (0.25 - 0.5) * math.log(0.25 / 0.5)
    assert figures["psi"] == pytest.approx(expected)


def test_an_empty_bin_counts_with_the_floor() -> None:
    figures = drift([None] * 4, [1.0] * 4)
    assert figures["psi"] == pytest.approx(2 * (1 - EPSILON) * math.log(1 / EPSILON))


@pytest.mark.parametrize("other", [6.0, 8.0])
def test_a_constant_that_moves_either_way_is_seen(other: float) -> None:
    assert drift([7.0] * 50, [7.0] * 50)["psi"] == 0
    assert drift([7.0] * 50, [other] * 50)["over"]


def test_a_column_that_did_not_come_counts_as_null() -> None:
    frame = pd.DataFrame({"a": np.arange(100.0), "b": np.arange(100.0)})
    drifts = psi(reference(frame), frame[["a"]]).set_index("column")
    assert drifts.loc["b", "over"]
    assert drifts.loc["b", "null_share_now"] == 1
    assert drifts.loc["a", "psi"] == 0


def test_infinities_fall_into_the_outer_bins() -> None:
    then = reference(pd.DataFrame({"a": [*np.arange(98.0), np.inf, -np.inf]}))
    assert np.isfinite(then.columns["a"].edges).all()
    assert psi(then, pd.DataFrame({"a": [*np.arange(98.0), np.inf, -np.inf]}))["psi"].item() == 0


def test_small_samples_are_not_called_drifted_by_chance() -> None:
    random = np.random.default_rng(0)
    over_threshold, over = 0, 0
    for _ in range(200):
        then, now = (pd.DataFrame({"a": random.normal(size=100)}) for _ in range(2))
        row = psi(reference(then), now).iloc[0]
        over_threshold += row["psi"] > 0.25
        over += row["over"]
    # Two samples of a hundred pass 0.25 about one time in four; the noise beside it more than halves that.
    assert over_threshold > 30
    assert over < over_threshold / 2


def test_a_shift_is_over_and_comes_first() -> None:
    random = np.random.default_rng(0)
    then = pd.DataFrame({"steady": random.normal(size=2000), "moved": random.normal(size=2000)})
    now = pd.DataFrame({"steady": random.normal(size=2000), "moved": random.normal(1.0, 1.0, size=2000)})
    drifts = psi(reference(then), now)
    assert drifts["column"].tolist() == ["moved", "steady"]
    assert drifts["over"].tolist() == [True, False]
    assert drifts["rows_then"].tolist() == [2000, 2000]


def test_a_stored_reference_is_the_same() -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=300), "n": [None] * 300, "flag": [True] * 300})
    then = reference(frame.assign(text="not a number", n=frame["n"].astype(float)))
    assert list(then.columns) == ["a", "n", "flag"]
    assert Reference.from_json(then.to_json()) == then
    assert len(then.columns["a"].shares) == 10


def test_empty_frames_are_refused() -> None:
    frame = pd.DataFrame({"a": [1.0]})
    with pytest.raises(ModelError):
        reference(frame[:0])
    with pytest.raises(ModelError):
        psi(reference(frame), frame[:0])


def test_nullable_types_are_read() -> None:
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False])})
    assert psi(reference(frame), frame)["psi"].tolist() == [0.0, 0.0]


def sixteen_columns(random: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    """Numbers with and without ties, money with a long tail, gaps with nulls; ``shift`` moves one of them."""
    visits = {f"visits_{place}": random.poisson(random.gamma(1.5, 2, rows)) for place in range(6)}
    money = {f"spend_{place}": random.lognormal(3, 1, rows) for place in range(6)}
    gaps = {
        f"gap_{place}": np.where(random.random(rows) < 0.3, np.nan, random.exponential(20, rows)) for place in range(4)
    }
    frame = pd.DataFrame({**visits, **money, **gaps})
    return frame.assign(spend_0=frame["spend_0"] * np.exp(shift))


@pytest.mark.parametrize("rows", [40, 100, 300])
def test_of_sixteen_columns_hardly_any_is_over_by_chance(rows: int) -> None:
    random = np.random.default_rng(rows)
    scorings = [psi(reference(sixteen_columns(random, rows)), sixteen_columns(random, rows)) for _ in range(100)]
    # One in five thousand is what the level allows; two of a hundred come once in five thousand times then.
    assert sum(scoring["over"].any() for scoring in scorings) <= 1
    if rows <= 100:
        assert sum((scoring["psi"] > 0.25).any() for scoring in scorings) > 95


@pytest.mark.parametrize(("rows", "shift"), [(100, 1.7), (300, 1.0), (2000, 0.6)])
def test_a_shift_of_one_column_among_sixteen_is_over_at_once(rows: int, shift: float) -> None:
    random = np.random.default_rng(rows)
    over = [
        psi(reference(sixteen_columns(random, rows)), sixteen_columns(random, rows, shift))
        .query("over")["column"]
        .tolist()
        for _ in range(20)
    ]
    assert over == [["spend_0"]] * 20


def test_the_p_value_is_that_of_pearsons_test_corrected_for_the_number_of_columns() -> None:
    """Counts by hand, in bins of at least five expected rows, and scipy's test of the same table beside it."""
    from scipy.stats import chi2_contingency

    then = pd.DataFrame({"a": [1.0] * 30 + [2.0] * 30 + [3.0] * 40, "same": [1.0] * 100})
    now = pd.DataFrame({"a": [1.0] * 15 + [2.0] * 30 + [3.0] * 5, "same": [1.0] * 50})
    by_scipy = chi2_contingency([[30, 30, 40], [15, 30, 5]], correction=False).pvalue
    p_values = psi(reference(then), now).set_index("column")["p_value"]
    assert p_values["a"] == pytest.approx(2 * by_scipy)
    assert p_values["same"] == 1.0


def test_from_some_hundred_rows_on_the_threshold_alone_decides() -> None:
    random = np.random.default_rng(0)
    for rows in (400, 1000):
        for _ in range(30):
            then, now = random.normal(size=rows), random.normal(random.uniform(0, 1), 1, size=rows)
            row = psi(reference(pd.DataFrame({"a": then})), pd.DataFrame({"a": now})).iloc[0]
            assert row["over"] == (row["psi"] > 0.25)
