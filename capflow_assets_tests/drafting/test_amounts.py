"""What was taken off a line, as returns write it."""

from __future__ import annotations

import pytest

from capflow_assets.drafting.amounts import LineColumns, line_money
from capflow_assets.drafting.samples import Sample

COLUMNS = LineColumns("qty", "price", ("amount",), "off", "item")


@pytest.mark.parametrize(
    ("returned", "discount"),
    [((-1, 10.0, -8.5, -1.5), "if(off < 0, 0, off)"), ((1, 10.0, 11.5, -1.5), "off"), ((-1, 10.0, -10.0, 0.0), "off")],
)
def test_a_discount_below_nought_on_returns_alone_takes_nothing_off(returned, discount):
    rows = [("a", 1, 10.0, 8.5, 1.5), ("b", 2, 5.0, 10.0, 0.0)] * 50 + [("a", *returned)]
    sample = Sample("lines", "parquet", "", ("item", "qty", "price", "amount", "off"), tuple(rows))
    money = line_money(sample, COLUMNS)
    assert money.amount is not None
    assert money.amount.value == "amount"
    assert money.discount is not None
    assert money.discount.value == discount
