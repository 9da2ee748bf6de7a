"""Severities and thresholds of checks: read from signatures, verticals and customers, in that order."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from capflow_assets.blueprint.checking import declared_checks
from capflow_assets.contract import Finding
from capflow_assets.customers.checks_settings import (
    VERTICALS,
    CheckSettings,
    DeclaredCheck,
    check_problems,
    choose,
    resting,
    severe,
    thresholds_of,
    vertical_checks,
)
from capflow_assets.customers.customer import Customer, parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CustomerError

DECLARED = declared_checks(STAGES)
TABLES = {spec.name: spec.table for spec in STAGES.tables.values() if spec.stage == "raw"}
TOML = """
name = "boots"
vertical = "{vertical}"
currency = "GBP"
time_zone = "Europe/London"
[tables.users]
source = "csv"
location = "users.csv"
columns = {{ user_id = "Card" }}
"""


def customer(checks: str = "", vertical: str = "toys") -> Customer:
    text = TOML.format(vertical=vertical) + checks
    return parse_customer(text, "boots.toml", TABLES, SOURCES, known_checks=DECLARED)


def chosen(given: Customer, name: str, asset: str | None = None) -> tuple[Any, dict[str, float]]:
    choice = choose(given, DECLARED[name], asset or DECLARED[name].assets[0])
    return choice.severity, dict(choice.thresholds)


def test_every_check_that_can_be_set_says_its_thresholds() -> None:
    assert {name: dict(check.thresholds) for name, check in DECLARED.items()} == {
        "schema": {"at_most_share_pct": 0.0},
        "landed": {"at_most_share_pct": 0.0},
        "overlapping_exports": {},
        "personal_data": {},
        "removed": {"at_most_share_pct": 0.0},
        "leakage": {"auc_at_most": 0.95, "r2_at_most": 0.95, "missing_auc_at_most": 0.9},
        "skew": {"js_warn": 0.1, "js_block": 0.5, "fill_warn_pct": 10.0, "fill_block_pct": 50.0},
        "drift": {},
        "feed_gaps": {"at_most_days": 2, "window_days": 91, "usual_bills": 10},
        "amounts_agree": {"tolerance_pct": 1.0, "at_most_share_pct": 1.0},
        "known_items": {"at_most_share_pct": 5.0},
        "listed_users": {"at_most_share_pct": 5.0},
        "lone_days": {},
        "pictured_items": {"at_most_share_pct": 5.0},
        "spoilt_ids": {"at_most_share_pct": 0.0},
        "user_ids": {"at_most_share_pct": 5.0},
        "bill_numbers": {"at_most_users_pct": 3.0, "at_most_stores_pct": 3.0, "at_most_days_pct": 3.0},
    }


def test_a_check_blocks_by_itself_where_its_file_says_so_and_a_customer_may_soften_it() -> None:
    assert chosen(customer(), "bill_numbers")[0] == "block"
    assert chosen(customer("[checks.bill_numbers]\nat_most_stores_pct = 60"), "bill_numbers") == (
        "block",
        {"at_most_users_pct": 3.0, "at_most_stores_pct": 60.0, "at_most_days_pct": 3.0},
    )
    assert chosen(customer('[checks.bill_numbers]\nseverity = "warn"'), "bill_numbers")[0] == "warn"
    assert chosen(customer('[checks.bill_numbers]\nseverity = "off"'), "bill_numbers")[0] == "off"


def test_a_customers_settings_stand_over_its_verticals_and_those_over_the_signatures() -> None:
    assert chosen(customer(), "known_items") == (None, {"at_most_share_pct": 5.0})
    assert chosen(customer(vertical="footwear"), "known_items") == (None, {"at_most_share_pct": 10.0})
    own = '[checks.known_items]\nseverity = "block"\nat_most_share_pct = 2'
    assert chosen(customer(own, "footwear"), "known_items") == ("block", {"at_most_share_pct": 2.0})
    assert chosen(customer(own, "footwear"), "skew")[1]["js_warn"] == 0.15


def test_one_asset_may_have_settings_of_its_own() -> None:
    given = customer(
        '[checks.schema]\nat_most_share_pct = 1\n[checks."clean/bills:schema"]\nseverity = "warn"\n'
        '[checks."predictions/rfm_segments:skew"]\nseverity = "off"'
    )
    assert chosen(given, "schema", "clean/bills") == ("warn", {"at_most_share_pct": 1.0})
    assert chosen(given, "schema", "clean/users") == (None, {"at_most_share_pct": 1.0})
    assert chosen(given, "skew", "predictions/rfm_segments")[0] == "off"
    assert chosen(given, "skew", "predictions/purchase_propensity")[0] is None


def test_a_count_stays_a_count() -> None:
    thresholds = chosen(customer("[checks.feed_gaps]\nat_most_days = 5"), "feed_gaps")[1]
    assert thresholds == {"at_most_days": 5, "window_days": 91, "usual_bills": 10}
    assert isinstance(thresholds["at_most_days"], int)


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ("[checks.known_itms]", ["1. checks.known_itms.", "known_items, landed", "did you mean 'known_items'?"]),
        (
            "[checks.known_items]\nat_most_pct = 3",
            ["1. checks.known_items.at_most_pct.", "one of at_most_share_pct, severity", "'at_most_share_pct'?"],
        ),
        ('[checks.known_items]\nseverity = "stop"', ["1. checks.known_items.severity.", "'warn', 'block' or 'off'"]),
        ('[checks.known_items]\nat_most_share_pct = "3"', ["1. checks.known_items.at_most_share_pct.", "'3'"]),
        ("[checks.known_items]\nat_most_share_pct = -3", ["at_most_share_pct.", "a number of at least 0", "-3"]),
        ("[checks.skew]\njs_warn = inf", ["checks.skew.js_warn.", "a number of at least 0"]),
        ("[checks.skew]\njs_warn = nan", ["checks.skew.js_warn.", "a number of at least 0"]),
        ("[checks.feed_gaps]\nat_most_days = 2.5", ["checks.feed_gaps.at_most_days.", "a whole number"]),
        ("[checks.drift]\npsi = 1", ["1. checks.drift.psi.", "one of severity"]),
        (
            '[checks."clean/bils:schema"]',
            ["1. checks.clean/bils:schema.", "a table or model with the check schema: one of clean/bills"],
        ),
        ('[checks."clean/users:known_items"]', ["1. checks.clean/users:known_items.", "clean/line_items"]),
    ],
)
def test_what_does_not_exist_or_does_not_fit_is_refused_at_load(checks: str, words: list[str]) -> None:
    with pytest.raises(CustomerError) as caught:
        customer(checks)
    for word in words:
        assert word in str(caught.value)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(CustomerError, match=r"boots\.toml has 2 problems"):
        customer("[checks.nothing]\n[checks.feed_gaps]\nmost_days = 3")


@pytest.mark.parametrize("file", sorted(VERTICALS.glob("*.toml")), ids=lambda file: file.stem)
def test_the_verticals_that_are_shipped_name_what_exists_and_say_why(file: Path) -> None:
    assert [str(problem) for problem in check_problems(vertical_checks(file.stem), DECLARED)] == []
    text = file.read_text("utf-8")
    tables = tomllib.loads(text)["checks"]
    assert text.count("# ") >= len(tables)
    defaults = {name: dict(DECLARED[name].thresholds) for name in tables}
    assert all(given != {key: defaults[name][key] for key in given} for name, given in tables.items())


def test_a_vertical_without_a_file_sets_nothing_and_names_no_other_place(tmp_path: Path) -> None:
    assert vertical_checks("toys") == {}
    assert vertical_checks("../verticals/grocery") == {}
    (tmp_path / "odd.toml").write_text("[checks.skew]\nseverity = 3")
    with pytest.raises(CustomerError, match=r"(?s)vertical's TOML is wrong.*odd\.toml"):
        vertical_checks("odd", tmp_path)
    (tmp_path / "odder.toml").write_text("[tables.x]")
    with pytest.raises(CustomerError):
        vertical_checks("odder", tmp_path)


def test_only_keyword_parameters_with_numbers_are_thresholds() -> None:
    def check(bills: Any, zone: str = "UTC", *, share: float = 0.5, days: int = 3, words: str = "x") -> None: ...

    assert thresholds_of(check) == {"share": 0.5, "days": 3}
    for declared in STAGES.checks:
        assert set(declared.thresholds) <= set(inspect.signature(declared.function).parameters)


def test_settings_hold_numbers_and_a_severity_alone() -> None:
    assert CheckSettings.model_validate({"severity": "off", "days": 3}).thresholds == {"days": 3.0}
    for wrong in ({"days": True}, {"days": [1]}, {"severity": "BLOCK"}):
        with pytest.raises(ValidationError):
            CheckSettings.model_validate(wrong)


def test_a_finding_takes_the_severity_that_was_chosen_and_tells_its_thresholds() -> None:
    check = DeclaredCheck("c", ("a/b",), {"at_most": 1.0})
    finding = Finding("c", False, "bad", "warn", {"share": 2.0})
    blocking = severe(finding, choose(customer(), check, "a/b"))
    assert (blocking.severity, blocking.found) == ("warn", {"share": 2.0, "at_most": 1.0})
    rest = resting("known_items")
    assert rest.passed
    assert "[checks.known_items]" in rest.message
