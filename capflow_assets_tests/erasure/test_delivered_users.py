"""A user who is forgotten while a destination is down: it is asked again when the user is forgotten again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest

from capflow_assets.contract import Delivery, Withdrawn
from capflow_assets.erasure.forgetting import forget
from capflow_assets.erasure.receipts import Receipt
from capflow_assets.errors import DeliveryError
from capflow_assets.graph.records import DagsterRecords
from capflow_assets_doubles.homes import own_environment
from capflow_assets_tests.nights.brand import AS_OF, LETTERS, BoxOptions, Brand, Letterbox


class Shredder(Letterbox):
    """A box out of which single users can be taken, while it is up."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = True
        self.erased: list[str] = []

    def erase(self, options: BoxOptions, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        if self.is_down:
            raise DeliveryError("The box is down", where=options.file)
        self.erased += [user for user in users if user == "ann"]
        return Withdrawn(1)


@pytest.fixture
def brand(tmp_path: Path) -> Iterator[Brand]:
    brand = Brand(tmp_path)
    brand.boxes["letters"] = Shredder()
    brand.declare(LETTERS)
    brand.score()
    brand.deliver()
    with own_environment():
        os.environ["CAPFLOW_HOME"] = str(tmp_path / "home")
        yield brand


def forgotten(brand: Brand, user: str = "ann") -> Receipt:
    with dg.DagsterInstance.ephemeral() as instance:
        (receipt,) = forget(brand.deployment, DagsterRecords(instance), "boots", [user], "a test")
    return receipt


def test_a_destination_that_was_down_is_asked_again(brand: Brand) -> None:
    box = brand.boxes["letters"]
    assert isinstance(box, Shredder)
    first = forgotten(brand)
    assert [delivery["rows"] for delivery in first.deliveries] == [None]
    assert any("the next capflow forget of the user asks again: The box is down" in line for line in first.remains)
    carried = brand.deployment.lake.arrow("boots", "delivery/carried")["user_id"].to_pylist()
    assert "ann" not in carried, "the ledger has forgotten them"
    box.is_down = False
    second = forgotten(brand)
    assert [(delivery["rows"], delivery["reason"]) for delivery in second.deliveries] == [(1, "")]
    assert not any("asks again" in line for line in second.remains)
    assert box.erased == ["ann"]
    assert forgotten(brand).deliveries == [], "it has said that it is done"
    assert forgotten(brand, "bob").deliveries[0]["rows"] == 1
    assert box.erased == ["ann"], "another user's waiting deliveries are none of theirs"


def test_what_was_delivered_of_a_users_review_is_said(brand: Brand) -> None:
    """No destination knows whose a review is, so that what it got is a person's to delete."""
    brand.declare(LETTERS.replace("churn", "review_sentiment").replace('columns = { user_id = "who" }', ""))
    brand.write("raw/reviews", [{"review_id": "R1", "user_id": "ann"}, {"review_id": "R2", "user_id": "bob"}])
    row = {"score": 0.9, "band": "praise", "reasons": "lovely", "model_version": 1, "rung": "own", "as_of": AS_OF}
    brand.write("predictions/review_sentiment", [{"review_id": review} | row for review in ("R1", "R2")])
    brand.deliver("review_sentiment")
    receipt = forgotten(brand)
    assert receipt.rows_removed["predictions/review_sentiment"] == 1
    left = brand.deployment.lake.arrow("boots", "predictions/review_sentiment")["review_id"].to_pylist()
    assert left == ["R2"]
    assert any("post got of review_sentiment about the user's reviews" in line for line in receipt.remains)
    assert not any("of churn about" in line for line in receipt.remains)
