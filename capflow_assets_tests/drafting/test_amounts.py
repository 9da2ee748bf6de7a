"""What was taken off a line, as returns write it."""

from __future__ import annotations

import pytest

from capflow_assets.drafting.amounts import LineColumns, line_money
from capflow_assets.drafting.draft import draft
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


def lines(folder, header, rows):
    text = "\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]) + "\n"
    (folder / "invoices.csv").write_text(text)
    return draft([str(folder)], folder, {})


@pytest.mark.parametrize("pieces", ["Cases", "Kolli"])
def test_pieces_whose_name_is_not_known_are_known_by_what_they_make_of_a_price(pieces, tmp_path):
    header = ("Invoice Number", "Account", "Invoice Date", "Product Code", pieces, "Price per Case", "VAT", "Net")
    rows = [
        (f"I{place // 2}", f"A{place % 7}", f"2024-01-{1 + place // 8:02}", f"W{place % 5}", n, price, n * 3, n * price)
        for place in range(60)
        for n, price in [(1 + place % 4, 10 + place % 5)]
    ]  # fmt: skip
    proposal = lines(tmp_path, header, rows)
    assert f'quantity = "{pieces}"' in proposal.text
    assert 'amount = "Net"' in proposal.text


def test_a_time_whose_name_is_not_known_is_taken_with_a_question(tmp_path):
    header = ("order_no", "customer", "zeta", "sku", "quantity", "line_total")
    rows = [(place // 2, place % 7, f"2024-01-{1 + place // 8:02}", place % 5, 1, 9.5) for place in range(60)]
    proposal = lines(tmp_path, header, rows)
    assert 'billed_at = "zeta"' in proposal.text
    assert any("is zeta when it was paid?" in question for question in proposal.questions)


def test_lines_without_a_time_are_a_question(tmp_path):
    rows = [(place // 2, place % 7, place % 5, 1, 9.5) for place in range(60)]
    proposal = lines(tmp_path, ("order_no", "customer", "sku", "quantity", "line_total"), rows)
    assert any("no column says when it was paid" in question for question in proposal.questions)
