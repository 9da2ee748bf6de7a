"""Chances of tags: honest for items whose tag is known, and those that another program finds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from capflow_assets.learning.tag_chances import FOLDS, compact, learned_tagger, tag_chances


def groups(count: int, noise: float, seed: int = 0, tags: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors around a middle a tag, the tags, and folds."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, tags, count)
    vectors = random.normal(size=(tags, 12))[codes] + noise * random.normal(size=(count, 12))
    return compact(vectors), codes, np.arange(count) % FOLDS


def test_what_is_left_out_is_as_if_it_had_been_learned_without() -> None:
    """Another program's ridge regression, fitted without one item after the other."""
    vectors, codes, _ = groups(30, 1.0)
    tagger, logits = learned_tagger(vectors, codes, 4)
    tags = np.eye(4)[codes]
    shares = tags.mean(axis=0)
    penalties = []
    for penalty in (0.03, 0.3, 3.0):
        other = Ridge(alpha=penalty, fit_intercept=False).fit(vectors, tags - shares)
        if np.allclose(other.coef_.T, tagger.weights):
            penalties.append(penalty)
    (penalty,) = penalties
    for item in (0, 7, 29):
        rest = np.arange(30) != item
        without = Ridge(alpha=penalty, fit_intercept=False).fit(vectors[rest], (tags - shares)[rest])
        expected = tagger.temperature * (vectors[item] @ without.coef_.T + shares)
        assert logits[item].tolist() == pytest.approx(expected.tolist())


def test_an_items_own_tag_does_not_move_its_answer() -> None:
    vectors, codes, fold = groups(200, 1.0)
    best, chance = tag_chances({"text": vectors}, codes, fold)
    for item in (3, 50):
        other = codes.copy()
        other[item] = (codes[item] + 1) % 4
        turned = tag_chances({"text": vectors}, other, fold)
        assert (turned[0][item], turned[1][item]) == (best[item], chance[item])


def test_chances_are_what_comes_true() -> None:
    vectors, codes, fold = groups(3000, 2.0)
    best, chance = tag_chances({"text": vectors}, codes, fold)
    is_right = best == codes
    assert 0.5 < is_right.mean() < 0.95
    for low, high in ((0.3, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (chance >= low) & (chance < high)
        assert is_right[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.08), (low, high)


def test_of_two_kinds_the_one_that_tells_counts_and_each_serves_alone() -> None:
    telling, codes, fold = groups(400, 0.5)
    noise = compact(np.random.default_rng(1).normal(size=(400, 12)))
    telling, noise = telling.copy(), noise.copy()
    telling[:40] = 0  # these have noise alone
    noise[40:80] = 0
    best, chance = tag_chances({"text": telling, "picture": noise}, codes, fold)
    assert (best == codes)[40:].mean() > 0.95
    # That noise counts nothing beside text does not silence it where it is alone.
    assert len(set(best[:40])) > 1
    assert chance[:40].mean() < 0.5
    hidden = codes.copy()
    hidden[100:200] = -1
    assert (tag_chances({"text": telling, "picture": noise}, hidden, fold)[0] == codes)[100:200].mean() > 0.95


def test_items_of_which_nothing_is_known_get_the_most_frequent_tag() -> None:
    vectors, codes, fold = groups(100, 0.5)
    codes[:60], vectors = 2, vectors.copy()
    vectors[:5] = 0
    best, chance = tag_chances({"text": vectors}, codes, fold)
    assert set(best[:5]) == {2}
    assert chance[0] == pytest.approx((codes == 2).mean(), abs=0.06)


def test_vectors_that_are_all_equal_say_nothing() -> None:
    assert not compact(np.ones((5, 3))).any()
    assert not compact(np.zeros((5, 0))).any()
    assert compact(np.random.default_rng(0).normal(size=(300, 400))).shape == (300, 256)
