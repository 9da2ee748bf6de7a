"""`capflow draft` as a person calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets_doubles.homes import Said, TestHome
from capflow_assets_tests.shapes import superstore


def draft(folder: Path, *arguments: str) -> Said:
    return TestHome(folder / "home").capflow("draft", *arguments)


def test_a_draft_is_written_tried_and_can_be_onboarded_as_it_is(tmp_path):
    superstore.write(tmp_path)
    home, toml = TestHome(tmp_path / "home"), tmp_path / "superstore.toml"
    said = draft(tmp_path, str(tmp_path / "superstore.csv"), "-o", str(toml), "--check", "--currency", "USD")
    assert said.code == 0, said.err
    assert "✓ clean/bills: 43 rows, amount 21,952.63" in said.out
    assert "? 1. " in said.err
    assert not (tmp_path / "home").exists()
    assert "onboarded superstore with line_items, items" in home.ok("onboard", str(toml))


def test_without_a_file_to_write_the_toml_is_all_that_is_printed_and_the_questions_stand_beside(tmp_path):
    superstore.write(tmp_path)
    said = draft(tmp_path, str(tmp_path / "superstore.csv"))
    assert said.out.startswith("# Drafted from superstore.csv")
    assert f'location = "{tmp_path}/superstore.csv"' in said.out
    assert "? 1. " in said.err


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    superstore.write(tmp_path)
    (tmp_path / "brand.toml").write_text("mine")
    said = draft(tmp_path, str(tmp_path / "superstore.csv"), "-o", str(tmp_path / "brand.toml"))
    assert said.code == 1
    assert "--replace" in said.err
    assert (tmp_path / "brand.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--currency", "euro"], "three letters, such as EUR"),
        (["--time-zone", "Europe/Madird"], "did you mean 'Europe/Madrid'?"),
        (["--currency", "usd"], ""),
    ],
)
def test_an_answer_that_no_toml_may_have_is_refused_before_anything_is_read(arguments, words, tmp_path):
    superstore.write(tmp_path)
    said = draft(tmp_path, str(tmp_path / "superstore.csv"), *arguments)
    assert said.code == (1 if words else 0)
    assert words in said.err
    assert words or 'currency = "USD"' in said.out


def test_a_place_that_cannot_be_opened_says_why_and_not_what_bills_need(tmp_path):
    said = draft(tmp_path, "postgresql://127.0.0.1/shop", "--password-env", "NO_SUCH_VARIABLE_IS_SET")
    assert said.code == 1
    assert "Expected: NO_SUCH_VARIABLE_IS_SET" in said.err
    assert "lines with a bill's number" not in said.err
