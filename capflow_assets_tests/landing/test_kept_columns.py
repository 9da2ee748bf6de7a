"""Columns that come from a personal one under a plain name, and ids that are addresses, are named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets_doubles.landings import Shop, finding_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


@pytest.mark.parametrize(
    "source",
    [
        "Full Name",
        "E-Mail",
        "Vorname",
        "Nom",
        "Prénom",
        "Correo",
        "Telefon",
        "Straße",
        "KUNDEN-NAME",
        "lower(`E-Mail`)",
    ],
)
def test_a_personal_source_under_a_plain_name_is_reported(shop: Shop, source: str) -> None:
    column = "E-Mail" if "(" in source else source
    shop.sends("users", ("card", column), [("U1", "x"), ("U2", "y"), ("U3", "z")])
    finding = finding_of(shop.landed("users", columns={"user_id": "card", "contact": source}), "personal_data")
    assert not finding.passed
    assert f"contact: comes from {column!r}" in finding.message
    silent = shop.landed("users", columns={"user_id": "card", "contact": source}, plain=["contact"])
    assert finding_of(silent, "personal_data").passed


@pytest.mark.parametrize("source", ["tier", "City", "Kundennummer", "Segment", "Mailing", "Handyvertrag", "named"])
def test_a_source_that_only_resembles_is_not_reported(shop: Shop, source: str) -> None:
    shop.sends("users", ("card", source), [("0123456789", "x"), ("0049 12 3456", "y"), ("5901234123457", "z")])
    assert finding_of(shop.landed("users", columns={"user_id": "card", "contact": source}), "personal_data").passed


def test_an_id_that_is_an_address_is_reported_wherever_it_comes_from(shop: Shop) -> None:
    at = "2024-01-01 10:00:00"
    rows = [(n, at, 5, f"ann{n}@example.com") for n in range(5)]
    shop.sends("bills", ("id", "at", "total", "who"), rows)
    mapping = {"bill_id": "id", "billed_at": "at", "amount": "total", "user_id": "who"}
    finding = finding_of(shop.landed("bills", columns=mapping), "personal_data")
    assert "user_id: 100 % of a sample are e-mail addresses" in finding.message
    assert finding.found["user_id_email_share_pct"] == 100
    assert "ann1" not in finding.message
    assert finding_of(shop.landed("bills", columns=mapping, personal=["user_id"]), "personal_data").passed
