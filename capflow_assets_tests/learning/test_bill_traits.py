"""Deviations by hand, words for them, and bills that are made wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.bill_traits import disturbed, reasons_of, traits_of, usual_of


def bills(size: int = 2_000) -> pd.DataFrame:
    """Bills of two stores, of a hundred users, of one to four pieces at 10 each, a tenth at a fifth off."""
    random = np.random.default_rng(0)
    pieces = random.integers(1, 5, size).astype(float)
    off = np.where(random.random(size) < 0.1, 0.2, 0.0)
    return pd.DataFrame(
        {
            "user_id": np.char.add("u", (np.arange(size) % 100).astype(str)),
            "store_id": np.where(np.arange(size) % 2, "one", "two"),
            "billed_at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(size), unit="h"),
            "amount": 10 * pieces * (1 - off),
            "discount": 10 * pieces * off,
            "quantity": pieces,
            "line_items": 1.0,
            "is_return": False,
        },
        index=pd.Index([f"b{number}" for number in range(size)], name="bill_id"),
    )


def test_a_thousand_pieces_deviate_and_are_reported_beside_what_is_usual() -> None:
    known = bills()
    odd = known.head(1).assign(quantity=1000.0, amount=10_000.0, discount=0.0)
    usual = usual_of(known)
    traits = traits_of(odd, usual)
    # Quartiles of 1 to 4 pieces are at most 4 times apart, the middle 90 % is 4 times wide: ln 4 / 3.29 at least.
    assert traits["quantity"].iloc[0] > (np.log(1000) - np.log(3)) / (np.log(4) / 1.349)
    assert traits["price"].iloc[0] == pytest.approx(0.0, abs=1.0)
    assert "quantity 1,000 where 1 to 4 are usual in this store" in reasons_of(odd, traits, usual)[0]
    plain = known.head(1).assign(quantity=2.0, amount=20.0, discount=0.0)
    assert reasons_of(plain, traits_of(plain, usual), usual) == ["as usual in this store"]


def test_one_absurd_bill_changes_nothing_that_is_usual() -> None:
    known = bills()
    absurd = known.copy()
    absurd.loc["b7", ["amount", "quantity"]] = 1e9
    same, other = (traits_of(known.tail(50), usual_of(frame)) for frame in (known, absurd))
    pd.testing.assert_frame_equal(same, other, atol=0.05)


def test_each_way_to_be_wrong_is_taken_by_a_quarter_and_the_same_again() -> None:
    known = bills()
    wrong, again = disturbed(known, seed=0), disturbed(known.sample(frac=1, random_state=1), seed=0)
    pd.testing.assert_frame_equal(wrong, again.loc[known.index])
    assert not wrong["amount"].equals(disturbed(known, seed=1)["amount"])
    off = wrong["discount"] / (wrong["amount"] + wrong["discount"])
    is_refund, is_many = wrong["is_return"], wrong["quantity"] > known["quantity"]
    is_cheap = wrong["discount"] != known["discount"]
    assert [mask.mean() for mask in (is_refund, is_many, is_cheap)] == pytest.approx([0.25] * 3, abs=0.05)
    assert off[is_cheap].between(0.6, 0.95).all()
    price = (wrong["amount"] / wrong["quantity"])[~is_refund & ~is_many & ~is_cheap] / 10
    assert ((price < 0.34) | (price > 2.3)).all()


def test_without_bills_or_figures_nothing_deviates() -> None:
    known = bills()
    assert traits_of(known.head(0), usual_of(known)).empty
    assert disturbed(known.head(0), seed=0).empty
    blank = known.assign(amount=np.nan, discount=np.nan, quantity=np.nan, line_items=np.nan, store_id=None)
    assert (traits_of(blank, usual_of(blank)) == 0).all(axis=None)
