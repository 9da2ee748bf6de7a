from __future__ import annotations

import re

from capflow_assets.synthesis.features import (
    EVERYTHING,
    feature_of,
    featuretools_name,
    path,
    source_tables,
    synthesis,
)


def test_names_are_unique_and_safe_and_tell_the_formula() -> None:
    features = synthesis(3, (364, 91, 28))
    names = [feature.column for feature in features]
    assert len(set(names)) == len(names) > 600
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) for name in names)
    assert all(feature_of(feature.column) == feature for feature in features)
    assert feature_of("user_id") is None
    assert len({(featuretools_name(feature), feature.window_days) for feature in features}) == len(names)


def test_a_feature_tells_how_it_is_made() -> None:
    feature = feature_of("bills_std_of_line_items_n_unique_items_category_28d")
    assert feature is not None
    assert feature.variable.formula == "std(bills.n_unique(line_items.items.category))"
    assert [step.formula for step in path(feature)][1:] == ["n_unique(line_items.items.category)", "items.category"]
    assert source_tables(feature) == ("clean/bills", "clean/items", "clean/line_items")
    assert featuretools_name(feature) == "STD(bills.NUM_UNIQUE(line_items.items.category))"
    assert (feature.window, feature.variable.unit, feature.aggregation.is_whole) == ("28 days", None, False)


def test_depth_bounds_the_primitives() -> None:
    assert {feature.variable.depth for feature in synthesis(1, ())} == {1}
    assert max(feature.variable.depth for feature in synthesis(3, ())) == 3
    assert len(synthesis(2, (), EVERYTHING)) >= 200
    # What the inner aggregation says already is not said again.
    formulas = {feature.variable.formula for feature in synthesis(3, ())}
    assert not formulas & {"max(bills.max(line_items.amount))", "sum(bills.sum(line_items.amount))"}
