"""Cards and pictures of a model's versions lie beside each other, and pages of others are not shown."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from capflow_assets.customers.customer import Customer
from capflow_assets.pages.model_cards import LARGEST_BYTES, SHOWN_VERSIONS, ModelCard, cards, keep_card, shown
from capflow_assets.stores.lake import Lake

CUSTOMER = Customer.model_validate(
    {
        "name": "boots",
        "vertical": "shoes",
        "currency": "EUR",
        "time_zone": "Europe/Madrid",
        "tables": {"bills": {"source": "csv", "location": "/bills.csv", "columns": {"bill_id": "id"}}},
    }
)
CARD = ModelCard(
    model="churn",
    version=1,
    question="Who goes?",
    as_of="2024-06-30T22:30:00+00:00",
    status="not promoted",
    reason="not surely better than chance",
    metric="roc_auc",
    score="0.51 (0.45 to 0.57)",
    baseline="0.5 of chance",
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), lambda: None)  # type: ignore[arg-type, return-value]


def files(lake: Lake) -> set[str]:
    return {file.name for file in Path(lake.root, "boots", "plots").iterdir()}


def test_every_version_keeps_all_of_its_pictures(lake: Lake) -> None:
    first = keep_card(lake, "boots", CARD, {"holdout.png": b"first", "gain.png": b"gain"})
    second = keep_card(lake, "boots", replace(CARD, version=2, status="promoted"), {"holdout.png": b"second"})
    contents = {Path(place).name: Path(place).read_bytes() for place in (*first.values(), *second.values())}
    assert contents == {
        "models.churn.v1.holdout.png": b"first",
        "models.churn.v1.gain.png": b"gain",
        "models.churn.v2.holdout.png": b"second",
    }
    assert [(card.version, card.status, card.pictures) for card in cards(lake, "boots")] == [
        (2, "promoted", ("holdout.png",)),
        (1, "not promoted", ("holdout.png", "gain.png")),
    ]


def test_the_picture_of_an_earlier_release_goes_with_the_next_training(lake: Lake) -> None:
    lake.save_bytes("boots", "plots/models.churn.png", b"of some version")
    lake.save_bytes("boots", "plots/models.churned.png", b"of another model")
    keep_card(lake, "boots", CARD, {})
    assert files(lake) == {"models.churn.v1.json", "models.churned.png"}


def test_the_newest_versions_are_shown_and_the_others_named(lake: Lake) -> None:
    """Versions are numbers: the tenth comes after the ninth."""
    for version in range(8, 12):
        keep_card(lake, "boots", replace(CARD, version=version), {"holdout.png": b"%d" % version})
    keep_card(lake, "boots", replace(CARD, model="basket", version=1), {})
    basket, churn = shown(lake, CUSTOMER)
    assert (basket["name"], churn["name"]) == ("basket", "churn")
    assert [version["card"].version for version in churn["versions"]] == [11, 10, 9]
    assert len(churn["versions"]) == SHOWN_VERSIONS
    assert churn["versions"][0]["as_of"] == "1 July 2024, 00:30"
    assert churn["versions"][0]["pictures"] == [{"name": "holdout", "data": "data:image/png;base64,MTE="}]
    assert churn["earlier"] == "version 8 not promoted; capflow explain boots churn --version 8"
    assert basket["earlier"] == ""


def test_a_customer_without_models_has_no_cards(lake: Lake) -> None:
    assert cards(lake, "boots") == []
    assert shown(lake, CUSTOMER) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        json.dumps(asdict(replace(CARD, model="other"))).encode(),
        json.dumps(asdict(replace(CARD, version=3))).encode(),
        json.dumps(asdict(replace(CARD, as_of="yesterday"))).encode(),
        json.dumps(asdict(CARD) | {"pictures": "holdout.png"}).encode(),
        json.dumps(asdict(CARD)).encode() + b" " * LARGEST_BYTES,
    ],
)
def test_what_is_no_card_is_not_shown(lake: Lake, content: bytes) -> None:
    lake.save_bytes("boots", "plots/models.churn.v1.json", content)
    lake.save_bytes("boots", "plots/features.rfm.png.json", json.dumps(asdict(CARD)).encode())
    assert cards(lake, "boots") == []


def test_a_card_shows_no_file_but_pictures_of_its_own(lake: Lake) -> None:
    lake.save_bytes("boots", "secret.png", b"secret")
    lake.save_bytes("boots", "plots/models.churn.v1.large.png", b" " * (LARGEST_BYTES + 1))
    names = ["/../../../secret.png", "../secret.png", 7, "large.png", "gone.png", "holdout.png"]
    lake.save_bytes("boots", "plots/models.churn.v1.holdout.png", b"ours")
    lake.save_bytes("boots", "plots/models.churn.v1.json", json.dumps(asdict(CARD) | {"pictures": names}).encode())
    [churn] = shown(lake, CUSTOMER)
    assert churn["versions"][0]["pictures"] == [{"name": "holdout", "data": "data:image/png;base64,b3Vycw=="}]
