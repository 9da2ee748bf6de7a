from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.category_elasticity import category_elasticities, item_prices, pooled
from capflow_assets.learning.price_choices import choices_of, unit_prices
from capflow_assets.learning.user_elasticity import user_elasticities


def sold(items: int, weeks: int, slopes: tuple[float, ...], seed: int, mean: float = 40.0) -> pd.DataFrame:
    """Pieces of items in weeks at prices that move: a row of line items each; the category of item n is ``n % len``."""
    random = np.random.default_rng(seed)
    item, week = (of.ravel() for of in np.meshgrid(np.arange(items), np.arange(weeks), indexing="ij"))
    price = np.where(random.random(len(item)) < 0.3, 0.75, 1.0) * (1 + week / 500)
    season = 0.5 * np.sin(week / 8)
    slope = np.array(slopes)[item % len(slopes)]
    pieces = random.poisson(mean * np.exp(season + random.normal(0, 0.5, items)[item]) * price**slope)
    rows = pd.DataFrame({"item": item, "week": week, "pieces": pieces, "price": price}).query("pieces > 0")
    return rows.loc[rows.index.repeat(rows["pieces"])].assign(
        item_id=lambda frame: frame["item"].map("i{:02d}".format),
        user_id=None,
        store_id=None,
        quantity=1.0,
        amount=lambda frame: 10 * frame["price"],
    )


def categories_of(rows: pd.DataFrame, count: int) -> pd.Series:
    items = rows.drop_duplicates("item_id")
    return pd.Series((items["item"] % count).map("c{}".format).to_numpy(), items["item_id"])


def test_elasticities_are_those_of_a_poisson_regression_with_effects_of_items_and_weeks() -> None:
    """Against statsmodels, one category, where so much is sold that nothing is truncated."""
    import statsmodels.api as sm

    rows = sold(6, 40, (-2.0,), seed=1)
    cells = rows.groupby(["item", "week"]).agg(pieces=("quantity", "sum"), price=("price", "first")).reset_index()
    dummies = pd.get_dummies(cells[["item", "week"]].astype(str), drop_first=True).astype(float)
    design = sm.add_constant(dummies.assign(price=np.log(cells["price"])))
    model = sm.GLM(cells["pieces"], design, family=sm.families.Poisson()).fit()
    choices = choices_of(rows, categories_of(rows, 1), rows["week"].to_numpy())
    learned = category_elasticities(choices)
    assert learned.own[0] == pytest.approx(model.params["price"], abs=1e-4)
    assert abs(learned.own[0] + 2.0) < 4 * model.bse["price"]


def test_weeks_in_which_nothing_was_sold_do_not_flatten_the_elasticity() -> None:
    """Of items that sell 1.5 a week, weeks without a sale show no price; the law of counts above 0 allows for it."""
    rows = sold(60, 100, (-2.0,), seed=2, mean=2.0)
    learned = category_elasticities(choices_of(rows, categories_of(rows, 1), rows["week"].to_numpy()))
    assert learned.own[0] == pytest.approx(-2.0, abs=0.25)


def test_categories_are_shrunk_to_each_other_by_how_noisy_they_are() -> None:
    estimate, variance = np.array([-1.0, -2.0, -3.0, -9.0, np.nan]), np.array([0.01, 0.01, 0.01, 25.0, np.inf])
    from statsmodels.stats.meta_analysis import combine_effects

    result = pooled(estimate, variance)
    known = combine_effects(estimate[:4], variance[:4], method_re="chi2")
    assert result.spread**2 == pytest.approx(known.tau2)
    assert result.mean == pytest.approx(known.mean_effect_re)
    assert result.value[4] == result.mean
    assert abs(result.value[3] - result.mean) < 0.05 * abs(-9.0 - result.mean)
    assert np.abs(result.value[:3] - estimate[:3]).max() < 0.02
    assert result.error[4] > result.error[3] > result.error[0]


def test_prices_that_never_move_say_nothing() -> None:
    rows = sold(4, 30, (-2.0,), seed=3).assign(amount=10.0)
    choices = choices_of(rows, categories_of(rows, 1), rows["week"].to_numpy())
    assert not category_elasticities(choices).is_seen.any()


def test_users_who_wait_for_the_price_are_told_from_those_who_do_not() -> None:
    """Two users buy the same items as often, one where they are reduced: the order is theirs, and it is shrunk."""
    rows = sold(6, 60, (-1.0,), seed=4).reset_index(drop=True)
    is_low = rows["price"] / (1 + rows["week"] / 500) < 0.9
    random = np.random.default_rng(5)
    crowd = np.array([f"u{number:02d}" for number in range(30)], dtype=object)
    rows["user_id"] = crowd[random.integers(0, 30, len(rows))]
    rows.loc[random.choice(np.flatnonzero(is_low), 200, replace=False), "user_id"] = "waits"
    rows.loc[random.choice(np.flatnonzero(~is_low), 200, replace=False), "user_id"] = "does not"
    choices = choices_of(rows, categories_of(rows, 1), rows["week"].to_numpy())
    users = user_elasticities(choices, item_prices(choices, category_elasticities(choices).shrunk.value))
    own = pd.Series(users.own, choices.users)
    assert own["waits"] < own.drop("waits").min()
    assert own["does not"] > own.drop("does not").max()
    assert (np.abs(users.own) < np.abs(users.unshrunk)).all()
    assert users.reduced[list(choices.users).index("does not")] < 20


def test_a_unit_price_needs_an_amount_and_pieces() -> None:
    amount, quantity = np.array([6.0, 6.0, 0.0, -3.0, 5.0, np.nan]), np.array([2.0, np.nan, 1.0, -1.0, 0.0, 1.0])
    assert unit_prices(amount, quantity)[:2].tolist() == [3.0, 6.0]
    assert np.isnan(unit_prices(amount, quantity)[2:]).all()
