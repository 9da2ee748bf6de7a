"""What is read of a list of items, and what of it says nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.item_content import LEAST_ITEMS, Content, is_goods, learned_content

COUNT = 20
IDS = [f"i{number:02d}" for number in range(COUNT)]
NONE = pd.DataFrame(columns=["item_id", "embedding", "encoder"], dtype=object)


def listed(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"item_id": IDS, "flags": "", **columns})


def vectors(values: list[list[float]], encoder: str = "seen/1", ids: list[str] = IDS) -> pd.DataFrame:
    return pd.DataFrame({"item_id": ids, "embedding": values, "encoder": encoder})


def test_attributes_are_marks_and_price_is_scaled() -> None:
    colour = ["red"] * 8 + ["blue"] * 8 + ["once"] + [None] * 3
    items = listed(colour=colour, shop="north", name=IDS, price=[1.0, 3.0] * 10)
    content = learned_content(items, NONE, NONE)
    assert content.marks == [["colour", "blue"], ["colour", "red"]]
    assert content.left_out == {"shop": "all items have the same", "texts": "none", "pictures": "none"}
    numbers = content.numbers(items, NONE, NONE)
    assert numbers[:, :2].tolist() == [[0, 1]] * 8 + [[1, 0]] * 8 + [[0, 0]] * 4
    assert numbers[:2, 2].tolist() == pytest.approx([-0.3, 0.3])
    assert Content(**content.describe()) == content


def test_a_later_list_is_read_alike() -> None:
    content = learned_content(listed(colour=["red", "blue"] * 10), NONE, NONE)
    later = pd.DataFrame({"item_id": ["new", "bare"], "colour": ["red", "never seen"]})
    assert content.numbers(later, NONE, NONE).tolist() == [[0, 1], [0, 0]]
    assert content.numbers(later.drop(columns="colour"), NONE, NONE).tolist() == [[0, 0], [0, 0]]


def test_columns_of_names_are_no_attributes() -> None:
    many = [f"code {number}" for number in range(150)]
    items = pd.DataFrame({"item_id": many, "flags": "", "code": many, "own": [True, False] * 75})
    content = learned_content(items, NONE, NONE)
    assert content.marks == [["own", "False"], ["own", "True"]]
    assert content.left_out["code"] == "150 values, most of one item or few"
    assert LEAST_ITEMS > 1


def test_an_item_is_the_mean_of_its_pictures() -> None:
    pictures = vectors([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], ids=["i00", "i00", "i01"])
    content = learned_content(listed(), NONE, pictures)
    numbers = content.numbers(listed(), NONE, pictures.iloc[::-1])
    assert numbers[0].tolist() == pytest.approx([0.5**0.5, 0.5**0.5])
    assert numbers[1:3].tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (vectors([[1.0, 0.0]] * COUNT), "all items have the same"),
        (vectors([[0.0, 0.0]] * COUNT), "nothing can be read in them"),
        (vectors(np.eye(COUNT).tolist(), "tfidf/abc"), "vectors of tfidf/abc are not comparable"),
        (NONE, "none"),
    ],
    ids=["alike", "empty", "learned", "none"],
)
def test_vectors_that_tell_nothing_apart_are_left_out(rows: pd.DataFrame, words: str) -> None:
    content = learned_content(listed(colour=["red", "blue"] * 10), rows, NONE)
    assert content.texts == []
    assert content.left_out["texts"].startswith(words)


def test_a_list_in_which_nothing_differs_is_refused() -> None:
    with pytest.raises(EvidenceError, match="Nothing tells the items of the list apart"):
        learned_content(listed(colour="red", price=1.0), NONE, vectors([[1.0, 0.0]] * COUNT))


def test_another_encoder_is_refused() -> None:
    content = learned_content(listed(), vectors(np.eye(COUNT).tolist()), NONE)
    with pytest.raises(ModelError, match="seen/2"):
        content.numbers(listed(), vectors(np.eye(COUNT).tolist(), "seen/2"), NONE)


def test_postage_is_no_goods() -> None:
    items = pd.DataFrame({"flags": ["", "not_an_item", "several_descriptions,not_an_item", None]})
    assert is_goods(items).tolist() == [True, False, False, True]
