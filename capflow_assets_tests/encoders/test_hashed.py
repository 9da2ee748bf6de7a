"""Directions by hand, from the bits of a hash, and what a projection keeps of angles."""

from __future__ import annotations

import math
from hashlib import shake_256

import numpy as np
import pytest

from capflow_assets.encoders.hashed import sums_of_directions

TEA = [-1, 1, 1, 1, 1, -1, -1, -1, 1, -1, -1, -1, -1, 1, 1, -1]


def by_hand(word: str, dimensions: int, seed: int = 0) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in shake_256(f"{seed} {word}".encode()).digest(math.ceil(dimensions / 8)))
    return [1 if bit == "1" else -1 for bit in bits[:dimensions]]


def test_a_text_is_the_sum_of_the_directions_of_its_words() -> None:
    tea, green = np.array(by_hand("tea", 11, seed=3)), np.array(by_hand("grün", 11, seed=3))
    rows = sums_of_directions([["tea"], ["grün", "tea", "tea"], []], dimensions=11, seed=3)
    assert rows[0].tolist() == tea.tolist()
    assert rows[1] == pytest.approx(green + (1 + math.log(2)) * tea)
    assert rows[2].tolist() == [0.0] * 11


def test_directions_are_what_they_were_when_vectors_were_first_written() -> None:
    """Vectors lie in lakes: whoever changes this changes ``RELEASE`` too."""
    assert sums_of_directions([["tea"]], dimensions=16, seed=0)[0].tolist() == by_hand("tea", 16)
    assert by_hand("tea", 16) == TEA


def test_other_texts_change_no_bit_of_a_row() -> None:
    texts = [[f"word{n % 7}", f"word{n % 5}", f"word{n}"] for n in range(40)]
    together = sums_of_directions(texts, dimensions=64, seed=0)
    apart = np.concatenate([sums_of_directions([text], dimensions=64, seed=0) for text in texts])
    assert together.tobytes() == apart.tobytes()
    assert sums_of_directions(texts[::-1], dimensions=64, seed=0)[::-1].tobytes() == apart.tobytes()


def test_texts_without_a_common_word_are_nearly_at_a_right_angle() -> None:
    rows = sums_of_directions([[f"word{n}"] for n in range(300)], dimensions=128, seed=0) / math.sqrt(128)
    cosines = (rows @ rows.T)[np.triu_indices(300, 1)]
    assert np.sqrt(np.mean(cosines**2)) == pytest.approx(1 / math.sqrt(128), rel=0.03)
    assert abs(cosines).max() < 0.5


def test_another_seed_draws_other_directions() -> None:
    assert by_hand("tea", 64, seed=1) == sums_of_directions([["tea"]], dimensions=64, seed=1)[0].tolist()
    assert by_hand("tea", 64, seed=1) != by_hand("tea", 64)
