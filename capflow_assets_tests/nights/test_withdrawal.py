"""What was delivered is taken back, whole or by users, where destinations allow it; else receipts say why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.nights.withdrawal import arrived, erase, withdraw
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.nights.brand import LETTERS, NIGHT, WAREHOUSE, Brand


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(WAREHOUSE + LETTERS)
    brand.score()
    brand.deliver()
    return brand


def files(brand: Brand) -> list[Path]:
    return [file for file in (brand.root / "files" / "out").rglob("*") if file.is_file()]


def test_a_destination_that_can_takes_back_and_one_that_cannot_says_so(brand: Brand) -> None:
    place = brand.deployment
    results = list(withdraw(place, place.customer("boots"), arrived(brand.ledger, "churn"), NIGHT))
    assert {result.receipt.destination: (result.rows, result.reason) for result in results} == {
        "warehouse": (6, ""),
        "post": (None, "letters that were sent stay sent"),
    }
    assert files(brand) == []
    assert {receipt.destination: receipt.status for receipt in brand.ledger.receipts()} == {
        "warehouse": "withdrawn",
        "post": "delivered",
    }
    again = {result.destination: result.receipt for result in brand.deliver()}
    assert again["warehouse"] is not None
    assert again["warehouse"].status == "withdrawn", "what was taken back is not sent again"
    assert files(brand) == []


def test_erasure_knows_which_deliveries_carried_a_user_and_says_where_they_stay(brand: Brand) -> None:
    place = brand.deployment
    results = list(erase(place, place.customer("boots"), ["ann"]))
    assert {(result.receipt.destination, bool(result.reason)) for result in results} == {
        ("warehouse", True),
        ("post", True),
    }
    assert "whole deliveries" in results[0].reason
    assert [result.receipt.destination for result in erase(place, place.customer("boots"), ["dan"])] == ["warehouse"]
    assert list(erase(place, place.customer("boots"), ["nobody"])) == []


def test_a_destination_that_is_declared_no_more_says_so(brand: Brand) -> None:
    brand.declare(WAREHOUSE)
    place = brand.deployment
    (result,) = withdraw(place, place.customer("boots"), arrived(brand.ledger, "churn", "post"), NIGHT)
    assert "no longer declares" in result.reason


def test_the_command_asks_and_takes_back(brand: Brand) -> None:
    brand.declare(WAREHOUSE)
    home = TestHome(brand.root / "home")
    mistyped = home.capflow("withdraw", "boots", "churn", "-d", "warehose", "--yes")
    assert (mistyped.code, "did you mean 'warehouse'" in mistyped.err) == (1, True)
    said = home.capflow("withdraw", "boots", "churn", "--destination", "warehouse", "--yes")
    assert (said.code, "to take back: 1 delivery of churn of boots, 6 rows" in said.err) == (0, True)
    assert said.out == "warehouse, as of 2026-02-28T23:59:59+00:00: 6 rows taken back\n"
    assert files(brand) == []
    assert "nothing of churn" in home.capflow("withdraw", "boots", "churn", "-d", "warehouse", "--yes").err


def test_a_destination_that_cannot_be_reached_says_so_in_one_line_and_keeps_its_receipt(brand: Brand) -> None:
    out = brand.root / "files" / "out"
    out.rename(brand.root / "files" / "away")
    out.write_text("a file where a folder was")
    place = brand.deployment
    (result,) = withdraw(place, place.customer("boots"), arrived(brand.ledger, "churn", "warehouse"), NIGHT)
    assert result.reason.startswith("A folder cannot be used; came: Not a directory; where: ")
    assert {receipt.status for receipt in brand.ledger.receipts()} == {"delivered"}
