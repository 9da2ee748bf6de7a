"""Deliveries that break midway or nobody answered for: nothing doubles, and users in them can be found again."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.errors import DeliveryError, SourceError
from capflow_assets.nights.withdrawal import arrived, erase
from capflow_assets_tests.nights.brand import LETTERS, NIGHT, WAREHOUSE, BoxOptions, Brand, Letterbox


class HalfBox(Letterbox):
    """Takes the first two letters and is then down."""

    resend = "idempotent"

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        users = [user for batch in batches for user in batch.column(0).to_pylist()]
        Path(options.file).write_text("\n".join(users[:2]))
        raise DeliveryError("The box is down", where=options.file)


class AskedBox(Letterbox):
    """Is asked first, and is down."""

    tells = True

    def newest(self, options: BoxOptions, delivery: Delivery) -> Any:
        raise DeliveryError("The box is down", where=options.file)


class LockedBox(Letterbox):
    """Has a key that nobody set, and one that breaks."""

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        raise SourceError("A variable of the environment is not set", expected="KEY, with a secret")

    def withdraw(self, *_: Any) -> Any:
        raise KeyError("a fault of its own")

    erase = withdraw


class Shelf(Letterbox):
    """Says what it holds, and lets go of single users."""

    tells = True
    users: ClassVar[list[str]] = []

    def held(self, options: BoxOptions, delivery: Delivery) -> Held | None:
        return Held(delivery.id, len(self.users)) if self.users else None

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        self.users[:] = [user for batch in batches for user in batch.column(0).to_pylist()]
        return Sent(len(self.users), 1)

    def erase(self, options: BoxOptions, delivery: Delivery, users: Any) -> Withdrawn:
        before = len(self.users)
        self.users[:] = [user for user in self.users if user not in users]
        return Withdrawn(before - len(self.users))


class Looking(Letterbox):
    """Sees which files of the process's have a name while it takes letters."""

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        first = next(batches)
        self.names = sorted(path.name for path in Path(tempfile.gettempdir()).iterdir())
        return super().send(options, delivery, iter([first]))


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(LETTERS)
    brand.score()
    return brand


def users_of(brand: Brand, user: str) -> list[tuple[str, str]]:
    place = brand.deployment
    results = erase(place, place.customer("boots"), [user])
    return [(result.receipt.destination, result.reason) for result in results]


def test_what_is_unknown_stays_so_when_the_next_try_fails_and_is_not_sent_twice(brand: Brand) -> None:
    for box in (Letterbox("after"), AskedBox(), Letterbox()):
        brand.boxes["letters"] = box
        receipt = brand.delivered().receipt
        assert receipt is not None
        assert (receipt.status, receipt.unknown) == ("unknown", 6)
    assert len((brand.root / "files" / "out.txt").read_text().splitlines()) == 5


def test_an_older_one_is_not_sent_over_one_that_may_have_arrived(brand: Brand) -> None:
    brand.score(days=1)
    brand.boxes["letters"] = Letterbox("after")
    brand.delivered()
    brand.boxes["letters"] = Letterbox()
    brand.score(days=0)
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert receipt.status == "older"


def test_who_was_sent_before_it_failed_is_known_and_stays_known(brand: Brand) -> None:
    brand.boxes["letters"] = HalfBox()
    assert "is down" in brand.delivered().failure
    (receipt,) = arrived(brand.ledger, "churn")
    assert receipt.status == "failed"
    assert users_of(brand, "ann") == [("post", "this kind of destination takes back whole deliveries, and no single "
                                       "users: capflow withdraw")]  # fmt: skip
    brand.score(users=("bob", "cyd"))  # of the same moment: ann is not delivered any more
    brand.boxes["letters"] = Letterbox()
    again = brand.delivered().receipt
    assert again is not None
    assert (again.status, again.delivered) == ("delivered", 2)
    assert users_of(brand, "ann") == users_of(brand, "bob")
    assert users_of(brand, "nobody") == []


def test_a_key_that_is_not_set_fails_and_is_tried_again(brand: Brand) -> None:
    brand.boxes["letters"] = LockedBox()
    assert "is not set" in brand.delivered().failure
    assert [receipt.status for receipt in brand.ledger.receipts()] == ["failed"]
    brand.boxes["letters"] = Letterbox()
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert receipt.status == "delivered"


def test_a_destination_that_breaks_stops_no_erasure(brand: Brand) -> None:
    brand.declare(LETTERS + WAREHOUSE)
    brand.deliver()
    brand.boxes["letters"] = LockedBox()
    reasons = dict(users_of(brand, "ann"))
    assert "a fault of its own" in reasons["post"]
    assert "whole deliveries" in reasons["warehouse"]


def test_erasure_asks_deliveries_of_which_it_is_no_longer_kept_who_was_in_them(brand: Brand) -> None:
    brand.delivered()
    brand.score(days=1, users=("bob", "cyd"))
    brand.delivered(now=NIGHT + timedelta(days=1))
    assert [name for name, _ in users_of(brand, "ann")] == ["post"]
    brand.ledger.forget_old(NIGHT + timedelta(days=200))
    assert [name for name, _ in users_of(brand, "ann")] == ["post"]


def test_no_file_with_users_has_a_name_that_a_kill_would_leave(
    brand: Brand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    box = brand.boxes["letters"] = Looking()
    assert brand.delivered().failure == ""
    assert box.names == []


def test_a_destination_that_has_erased_a_user_reconciles_and_one_that_loses_another_does_not(brand: Brand) -> None:
    brand.boxes["letters"] = shelf = Shelf()
    assert brand.delivered().problem == ""
    assert users_of(brand, "ann") == [("post", "")]
    brand.deployment.lake.delta("boots", "delivery/carried").delete("user_id = 'ann'")  # as forgetting does
    assert brand.delivered().problem == ""
    shelf.users.remove("bob")
    assert brand.delivered().problem == "it holds 4 rows, and took 6"
