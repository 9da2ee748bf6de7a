"""Frequency caps over nights, models and destinations, and what a TOML may say of them."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.contract import Delivery, Refused, Sent
from capflow_assets.errors import CustomerError
from capflow_assets_tests.nights.brand import AS_OF, NIGHT, USERS, BoxOptions, Brand, Letterbox

MAIL = """
[[delivery]]
name = "mail"
kind = "letters"
models = ["churn"]
channel = "email"
purpose = "marketing"
options = { file = "OUT.txt" }

[contact]
caps = [{ channel = "email", most = 1, days = 7 }]
"""


class SlowBox(Letterbox):
    """Takes its time."""

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        time.sleep(0.05)
        return super().send(options, delivery, batches)


class ItemBox(Letterbox):
    """Takes what is ranked first, and refuses the rest."""

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        rows = [row for batch in batches for row in batch.to_pylist()]
        refused = [Refused((row["user_id"], row["item_id"]), "only one") for row in rows if row["rank"] > 1]
        return Sent(len(rows) - len(refused), 1, refused=tuple(refused))


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(MAIL)
    brand.score()
    brand.consent(**dict.fromkeys(USERS, "granted"))
    return brand


def counts(brand: Brand, days: int = 0, model: str = "churn") -> tuple[int, int]:
    """Delivered and held back, so many days later."""
    receipt = brand.delivered(model, NIGHT + timedelta(days=days)).receipt
    assert receipt is not None
    return receipt.delivered, receipt.held_back


def baskets(brand: Brand) -> None:
    said = {"model_version": 1, "rung": "own", "as_of": AS_OF, "reasons": "often"}
    rows = [
        {"user_id": user, "item_id": item, "rank": rank, "score": 1 / rank} | said
        for user in ("ann", "bob")
        for rank, item in enumerate(("milk", "bread"), 1)
    ]
    brand.write("predictions/next_basket", rows)


def test_a_cap_of_half_a_year_looks_back_half_a_year(brand: Brand) -> None:
    brand.declare(MAIL.replace("days = 7", "days = 180"))
    counted = [counts(brand)]
    for days in (100, 101, 102, 181):
        brand.score(days=days)
        counted.append(counts(brand, days))
    assert counted == [(6, 0), (0, 6), (0, 6), (0, 6), (6, 0)]


def test_a_channel_is_the_same_in_capitals(brand: Brand) -> None:
    brand.declare(MAIL.replace('channel = "email"\n', 'channel = "Email"\n'))
    assert counts(brand) == (6, 0)
    brand.score(days=1)
    assert counts(brand, 1) == (0, 6)


def test_a_model_that_cannot_be_delivered_stops_no_other_and_takes_no_place(brand: Brand) -> None:
    baskets(brand)
    more = 'models = ["churn", "next_basket"]\nrules = { min_band = "low" }'
    brand.declare(MAIL.replace('models = ["churn"]', more))
    assert counts(brand) == (6, 0)
    assert "a model that answers with a score" in brand.delivered("next_basket").failure


def test_a_user_of_whose_rows_one_is_refused_is_carried(brand: Brand) -> None:
    baskets(brand)
    brand.declare(MAIL.replace("churn", "next_basket").replace("purpose", 'lists = "rows"\npurpose'))
    brand.boxes["letters"] = ItemBox()
    receipt = brand.delivered("next_basket").receipt
    assert receipt is not None
    assert (receipt.delivered, receipt.refused) == (2, 2)
    assert brand.deployment.lake.arrow("boots", "delivery/carried")["user_id"].to_pylist() == ["ann", "bob"]


def test_the_time_is_asked_anew_for_each_destination(brand: Brand) -> None:
    brand.declare(MAIL + MAIL.partition("[contact]")[0].replace('"mail"', '"second"'))
    brand.boxes["letters"] = SlowBox()
    brand.deliver(now=None)
    first, second = brand.ledger.receipts()
    assert second.began_at - first.began_at >= timedelta(seconds=0.05)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("days = 7 }", 'days = 7 }, { channel = "Email", most = 9, days = 30 }'), "one cap a channel"),
        (("purpose", 'rules = { quiet_hours = ["21:00+02:00", "08:00"] }\npurpose'), "without a zone"),
        (("purpose", 'contact = false\nrules = { quiet_hours = ["21:00", "08:00"] }\npurpose'), "no quiet_hours"),
    ],
)
def test_rules_that_would_not_hold_are_refused_at_load(brand: Brand, changed: tuple[str, str], words: str) -> None:
    brand.declare(MAIL.replace(*changed))
    with pytest.raises(CustomerError, match=words):
        brand.deployment.customer("boots")
