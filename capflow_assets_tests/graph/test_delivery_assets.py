"""``delivery/{model}`` as a person sees it: run by a command, its receipts shown, and what it says without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capflow_assets.graph.delivery_assets import delivered_outcome, not_scored
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.nights.brand import LETTERS, WAREHOUSE, Brand, Letterbox


@pytest.fixture
def brand(tmp_path: Path) -> Brand:
    brand = Brand(tmp_path)
    brand.declare(WAREHOUSE)
    brand.score()
    return brand


def test_a_delivery_is_run_twice_and_shown_once(brand: Brand) -> None:
    home = TestHome(brand.root / "home")
    for _ in range(2):
        said = home.capflow("run", "boots", "--select", "delivery/churn,delivery/winback")
        assert said.code == 0, said.err
        assert "2 done, 0 waiting or absent, 0 failed" in said.err
    (receipt,) = json.loads(home.ok("show", "delivery/receipts", "--customer", "boots", "--format", "json"))
    assert (receipt["model"], receipt["destination"], receipt["status"], receipt["delivered"]) == (
        "churn",
        "warehouse",
        "delivered",
        6,
    )


def test_a_model_that_goes_nowhere_says_so(brand: Brand) -> None:
    place = brand.deployment
    outcome = delivered_outcome(place, place.stages.model("winback"), place.customer("boots"))
    assert (outcome.failure, outcome.metadata["status"]) == ("", "no destination")
    assert outcome.findings[0][1].passed
    assert not place.lake.exists("boots", "delivery/receipts")


def test_a_destination_that_fails_fails_the_asset_by_name_and_the_check_has_the_figures(brand: Brand) -> None:
    brand.declare(WAREHOUSE + LETTERS)
    brand.boxes["letters"] = Letterbox("before")
    place = brand.deployment
    outcome = delivered_outcome(place, place.stages.model("churn"), place.customer("boots"))
    assert outcome.failure.startswith("post: The box is down")
    (_, finding) = outcome.findings[0]
    assert (finding.check, finding.passed) == ("reconciles", False)
    assert finding.found == {"scored": 6, "delivered": 6, "held_back": 0, "refused": 0, "unknown": 0}
    assert outcome.metadata["delivered"] == 6


def test_predictions_that_failed_are_not_delivered(brand: Brand) -> None:
    outcome = not_scored(brand.deployment.stages.model("churn"))
    assert outcome.consequence_of == ("predictions/churn",)
