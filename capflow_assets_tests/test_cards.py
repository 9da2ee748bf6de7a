"""What `capflow explain` prints of a model: its card, and the command that trains it again."""

from __future__ import annotations

import pytest

from capflow_assets_doubles.homes import TestHome

MODEL = "purchase_propensity"


@pytest.fixture(scope="module")
def card(acme: TestHome) -> str:
    return acme.ok("explain", "acme", MODEL)


def test_the_card_says_what_was_decided_on_what_and_why(acme: TestHome, card: str) -> None:
    report = acme.report("acme", MODEL)
    assert card.splitlines()[0] == f"acme.{MODEL}, version {report['version']}  {report['question']}"
    for words in (report["decision"]["reason"], report["candidate"], f"{report['metric']['value']:.4g}"):
        assert words in card
    assert f"{report['examples']['train']:,} examples as of" in card


def test_it_shows_conditions_slices_candidates_and_columns(acme: TestHome, card: str) -> None:
    report = acme.report("acme", MODEL)
    for title in ("conditions", "slices", "candidates on past moments", "columns"):
        assert f"\n{title}" in card
    for rows, name in (("judgements", "name"), ("slices", "slice"), ("candidates", "name")):
        assert all(row[name] in card for row in report[rows])
    assert all(name in card for name in report["feature_columns"])


def test_the_command_that_trains_it_again(acme: TestHome) -> None:
    report = acme.report("acme", MODEL)
    *notes, command = acme.ok("explain", "acme", MODEL, "--reproduce").splitlines()
    assert command == f"capflow run acme --select models/{MODEL} --as-of {report['as_of']}"
    assert notes[0] == f"# code {report['code_version']}, seed 0"
    assert notes[1] == "# data as it was"
