from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.baskets import baskets_of
from capflow_assets.learning.item_frequency import Decay, basket_weights, item_frequencies
from capflow_assets_tests.learning.baskets import lines_of, random_shop, vector


def test_weights_by_hand() -> None:
    """Five baskets in two groups: the newest three are one, the oldest two the other."""
    weights = basket_weights(np.arange(5), np.full(5, 5), Decay(groups=2, within=0.5, between=0.25))
    newer = [1 / 3 / 2, 0.5 / 3 / 2, 0.25 / 3 / 2]
    older = [0.25 / 2 / 2, 0.125 / 2 / 2]
    assert weights.tolist() == pytest.approx(newer + older)


def test_without_fading_an_entry_is_the_share_of_the_baskets() -> None:
    shop = {"ana": [(0, frozenset({"tea"})), (1, frozenset({"tea", "jam"})), (5, frozenset({"tea"}))]}
    assert item_frequencies(baskets_of(lines_of(shop)), Decay(1, 1.0, 1.0)).toarray().ravel() == pytest.approx(
        [1 / 3, 1]
    )


@pytest.mark.parametrize("decay", [Decay(1, 0.9, 1.0), Decay(3, 0.9, 0.6), Decay(7, 1.0, 0.7), Decay(50, 0.5, 0.5)])
def test_vectors_are_those_of_the_paper(decay: Decay) -> None:
    shop = random_shop(users=60, items=20, seed=1)
    baskets = baskets_of(lines_of(shop))
    expected = [[vector(shop[user], *decay).get(item, 0.0) for item in baskets.items] for user in baskets.users]
    np.testing.assert_allclose(item_frequencies(baskets, decay).toarray(), expected, rtol=1e-6)


def test_nobody_has_no_vector() -> None:
    assert item_frequencies(baskets_of(lines_of({})), Decay(7, 0.9, 0.7)).shape == (0, 0)
