"""What is printed is what it says it is: JSON is JSON, a card's names stand apart from what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capflow_assets.cli.terminal import absent_tables, print_report, print_rows


def strictly(text: str) -> Any:
    def refused(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refused)


def test_json_has_no_infinity_however_deep_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    bounds = {"at_least": -float("inf"), "at_most": float("inf"), "error": 0.5}
    print_report({"customer": "shop", "model": "churn", "checks": [{"found": bounds}], "low": float("nan")}, "json")
    report = strictly(capsys.readouterr().out)
    assert report["checks"][0]["found"] == {"at_least": None, "at_most": None, "error": 0.5}
    assert report["low"] is None
    print_rows([{"metric": float("inf")}], ("metric",), "json", "")
    assert strictly(capsys.readouterr().out) == [{"metric": None}]


def test_a_run_that_makes_nothing_says_what_is_missing_and_else_that_bills_are() -> None:
    rfm, bills = {"status": "absent", "reason": "it is made of clean/bills"}, {"status": "absent", "reason": "no bills"}
    landed = {"status": "done"}
    assert list(absent_tables({"features/rfm": rfm})) == [("features/rfm", "it is made of clean/bills")]
    assert list(absent_tables({"raw/messages": landed, "features/rfm": rfm})) == []
    assert list(absent_tables({"raw/messages": landed, "clean/bills": bills, "features/rfm": rfm})) == [
        ("clean/bills", "no bills")
    ]
