"""A mapping that no source could make good is refused as the customer comes in, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets_doubles.homes import TestHome

TOML = """
name = "shop"
vertical = "x"
currency = "EUR"
time_zone = "UTC"

[tables.bills]
source = "csv"
location = "there-is-none.csv"

[tables.bills.columns]
bill_id = "Bill No (new)"
billed_at = "cast(at as timestamp)"
amount = '''{amount}'''
"""


def onboarded(tmp_path: Path, text: str) -> tuple[int, str]:
    file = tmp_path / "shop.toml"
    file.write_text(text)
    said = TestHome(tmp_path / "home").capflow("onboard", str(file))
    return said.code, " ".join((said.out + said.err).split())


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("(" * 20_000 + "amount" + ")" * 20_000, "too long"),
        ("(" * 9_000 + "amount" + ")" * 9_000, "nested too deep"),
        ("(\u017felect max(a) from delta.`/x`) || `now`()", "'max', which sums up many rows"),
        ("`now`()", "'now', which gives something else every time"),
        ("r'\\' || (select max(a) from delta.`/x`) || r'\\'", "'select', which reads another table"),
    ],
)
def test_what_no_mapping_may_be(tmp_path: Path, amount: str, words: str) -> None:
    code, output = onboarded(tmp_path, TOML.replace("{amount}", amount))
    assert code != 0
    assert words in output
    assert "tables.bills.columns.amount" in output
    assert len(output) < 3_000
    assert not (tmp_path / "home" / "customers" / "shop.toml").exists()


def test_what_may_be(tmp_path: Path) -> None:
    code, output = onboarded(tmp_path, TOML.replace("{amount}", "`Unit price` * `Pieces`"))
    assert code == 0, output


@pytest.mark.parametrize("levels", [40, 150, 300, 5_000])
def test_nested_tomls(tmp_path: Path, levels: int) -> None:
    text = TOML.replace("{amount}", "amount").replace(
        "\n[tables.bills]", f"\nx = {'[' * levels}{']' * levels}\n[tables.bills]"
    )
    code, output = onboarded(tmp_path, text)
    assert code != 0
    assert "nested too deep" in output
    assert "Traceback" not in output
