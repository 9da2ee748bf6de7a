"""Exported CSV is safe to open in a spreadsheet, and numbers in it are what they were."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capflow_assets.cli.table_files import write_table
from capflow_assets.cli.terminal import print_report, print_rows
from capflow_assets.graph.fleet import as_csv
from capflow_assets.life.verdicts import Standing
from capflow_assets.pages.spreadsheet import harmless

FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1+1",
    "-1+1",
    "-2+3+cmd|' /C calc'!D2",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\tplain",
    "  =1+1",
    '"=1+1',
    "\ufeff=1",
    "＝1+1",
    "＋1+1",
    "－1+1",
    "＠SUM(1)",
    '=HYPERLINK("http://example.com?"&A1)',
    "+44 20 7946 0000",
)
PLAIN = (
    "-5",
    "+3",
    "-1e5",
    "-5.2",
    "+1,234.56",
    "-12%",
    "-.5",
    "a=b",
    "a-b",
    "2024-05-01",
    "",
    "'quoted",
    "x@y.example",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_would_be_computed_begins_with_an_apostrophe(text: str) -> None:
    assert harmless(text).startswith("'")
    assert harmless(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_and_numbers_in_text_stay(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("value", [-5.2, 3, -100000.0, Decimal("-1.50"), None, True, datetime(2024, 1, 1, tzinfo=UTC)])
def test_values_that_are_no_text_stay(value: object) -> None:
    assert harmless(value) is value


@given(st.text(alphabet="=+-@＝＠\t\r\n ;,\"'a1.e%", max_size=12))
@example("x;=1+1")
def test_no_cell_begins_a_formula_whatever_the_separator(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([harmless(text)])
    number = harmless(text) == text and text.strip("+-0123456789.,eE%") == ""
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(stream.getvalue(), newline=""), delimiter=separator):
            for cell in row:
                assert number or cell.lstrip(' "')[:1] not in set("=+-@＝＋－＠"), (text, separator, cell)


def test_a_table_is_written_safely_and_its_headers_too(tmp_path: Path) -> None:
    table = pa.table({"=cmd()": ["=1+1", "plain"], "n": [-5.2, 1e5]})
    write_table(table, "csv", tmp_path / "safe.csv")
    rows = list(csv.reader((tmp_path / "safe.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [["'=cmd()", "n"], ["'=1+1", "-5.2"], ["plain", "100000.0"]]


def test_programs_get_every_value_exactly(tmp_path: Path) -> None:
    table = pa.table({"=a": ["=1+1"]})
    write_table(table, "csv", tmp_path / "raw.csv", raw=True)
    assert (tmp_path / "raw.csv").read_text() == "=a\n=1+1\n"
    write_table(table, "json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == [{"=a": "=1+1"}]
    write_table(table, "parquet", tmp_path / "a.parquet")
    assert pa.parquet.read_table(tmp_path / "a.parquet").equals(table)


def test_status_explain_and_the_fleet_are_written_safely(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"reason": "=1+1", "gap": -3}], ("reason", "gap"), "csv", "")
    print_report({"customer": "a", "model": "m", "params": {"=x": "@y"}}, "csv")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "'=1+1,-3",
        "name,value",
        "customer,a",
        "model,m",
        "params.=x,'@y",
    ]
    assert as_csv([Standing("a", "m", "ready", ("=1+1",))]).splitlines()[1] == "a,m,ready,'=1+1"
