"""The rules at the door, read anew at each sending: who is held back, and why."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from capflow_assets.nights.rules.holdout import bucket
from capflow_assets_tests.nights.brand import AS_OF, NIGHT, USERS, Brand, consent_row

LETTER = """
[[delivery]]
name = "{name}"
kind = "parquet"
models = ["{model}"]
channel = "email"
purpose = "marketing"
options = {{ location = "OUT" }}
"""
CHURN = LETTER.format(name="letter", model="churn")


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(CHURN)
    brand.score()
    brand.consent(**dict.fromkeys(USERS, "granted"))
    return brand


def users_there(brand: Brand) -> list[str]:
    import pyarrow.parquet as pq

    files = sorted((brand.root / "files" / "out").rglob("*.parquet"))
    return [user for file in files for user in pq.read_table(file)["user_id"].to_pylist()]


def test_only_who_consents_is_delivered(brand: Brand) -> None:
    rows = [consent_row("ann", "granted"), consent_row("bob", "denied"), consent_row("cyd", "granted")]
    brand.write("raw/consents", [*rows, consent_row("cyd", "suppressed", purpose=None)])
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.scored, receipt.delivered, receipt.held_back) == (6, 1, 5)
    assert receipt.held_back_by == {"no consent": 4, "suppressed": 1}
    assert users_there(brand) == ["ann"]
    assert brand.held_back()["cyd"] == "suppressed"


def test_without_consents_nobody_is_delivered(brand: Brand) -> None:
    brand.deployment.lake.delta("boots", "raw/consents").delete()
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.delivered, receipt.held_back_by) == (0, {"no consent": 6})


def test_a_consent_that_is_withdrawn_before_a_delivery_goes_on_counts(brand: Brand) -> None:
    """The first try was killed after it had sent; the second takes it back and sends what may be sent now."""
    brand.delivered()
    brand.deployment.lake.delta("boots", "delivery/receipts").delete()
    brand.consent(**(dict.fromkeys(USERS, "granted") | {"ann": "denied"}))
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.delivered, receipt.held_back_by) == (5, {"no consent": 1})
    assert users_there(brand) == list(USERS[1:])


def test_a_consent_for_another_in_the_place_of_one_that_is_withdrawn_counts(brand: Brand) -> None:
    """As many rows are there as may be, and one of them is somebody else's."""
    brand.consent(ann="granted", bob="granted")
    brand.delivered()
    brand.deployment.lake.delta("boots", "delivery/receipts").delete()
    brand.consent(ann="denied", bob="granted", cyd="granted")
    receipt = brand.delivered().receipt
    assert receipt is not None
    assert (receipt.status, receipt.delivered) == ("delivered", 2)
    assert users_there(brand) == ["bob", "cyd"]


def test_bands_and_the_hold_out(brand: Brand) -> None:
    brand.declare(CHURN + 'rules = { min_band = "medium" }\n\n[contact]\nholdout_pct = 30\nholdout_salt = "s"\n')
    held_out = {user for user in USERS if bucket("s", "boots", user) < 3000}
    brand.delivered()
    assert users_there(brand) == [user for user in USERS[:4] if user not in held_out]
    assert {user for user, reason in brand.held_back().items() if reason == "held out"} == held_out


def test_who_must_wait_for_the_morning_is_delivered_then(brand: Brand) -> None:
    brand.declare(CHURN + 'rules = { quiet_hours = ["21:00", "08:00"] }\n')
    zones = {"ann": "America/New_York", "bob": "Asia/Tokyo", "cyd": "nowhere"}
    brand.write("clean/users", [{"user_id": user, "time_zone": zone} for user, zone in zones.items()])
    waiting = brand.delivered().receipt  # 17:30 in New York, 23:30 in Berlin, 7:30 in Tokyo
    assert waiting is not None
    assert (waiting.status, waiting.delivered, waiting.waiting) == ("waiting", 1, 5)
    assert users_there(brand) == ["ann"]
    later = brand.delivered(now=NIGHT + timedelta(hours=2)).receipt  # 9:30 in Tokyo, 1:30 in Berlin
    assert later is not None
    assert (later.status, later.scored, later.delivered, later.number) == ("waiting", 5, 1, 1)
    last = brand.delivered(now=NIGHT + timedelta(hours=10)).receipt  # 9:30 in Berlin
    assert last is not None
    assert (last.status, last.delivered, last.number) == ("delivered", 4, 2)
    assert brand.delivered(now=NIGHT + timedelta(hours=11)).receipt == last
    assert sorted(users_there(brand)) == sorted(USERS)


CAPPED = '\n[contact]\ncaps = [{ channel = "email", most = 1, days = 7 }]\n'


def test_a_cap_holds_over_models_and_days_and_names_who_took_the_place(brand: Brand) -> None:
    other = LETTER.format(name="winback", model="winback") + "rules = { priority = 1 }\n"
    brand.declare(CHURN + other + CAPPED)
    brand.score("winback", users=("ann", "bob"))
    first = brand.delivered("churn").receipt
    assert first is not None
    assert (first.delivered, first.held_back_by) == (4, {"frequency cap": 2})
    assert brand.held_back()["ann"] == "frequency cap: 1 in 7 days on email, winback to winback goes first"
    second = brand.delivered("winback").receipt
    assert second is not None
    assert second.delivered == 2
    brand.score(days=3)
    third = brand.delivered("churn", NIGHT + timedelta(days=3)).receipt
    assert third is not None
    assert (third.delivered, third.held_back_by) == (0, {"frequency cap": 6})
    brand.score(days=8)
    fourth = brand.delivered("churn", NIGHT + timedelta(days=8)).receipt
    assert fourth is not None
    assert fourth.delivered == 6, AS_OF


def test_a_band_that_there_is_not_fails_with_what_there_is(brand: Brand) -> None:
    brand.declare(CHURN + 'rules = { min_band = "huge" }\n')
    assert "low, medium, high" in brand.delivered().failure


def test_rows_of_no_users_contact_nobody(brand: Brand) -> None:
    brand.declare(CHURN.replace("churn", "visit_forecast"))
    assert "of no users" in brand.delivered("visit_forecast").reason
