"""Drafts of what other programs export: written, run unchanged, and held against sums that are known."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.drafting.draft import draft
from capflow_assets.drafting.programs import SIGNATURES
from capflow_assets.drafting.trial import TableTrial, tried
from capflow_assets_tests.shapes import (
    chinook,
    etsy,
    northwind,
    olist,
    shopify,
    shopify_api,
    square,
    stripe,
    superstore,
    ta_feng,
    till,
    woocommerce,
)
from capflow_assets_tests.shapes.shop import Truth

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Write = Callable[[Path], Truth]
# By the program that is recognised by its columns.
KNOWN: dict[str, Write] = {
    "etsy": etsy.write,
    "northwind": northwind.write_database,
    "northwind-csv": northwind.write_files,
    "olist": olist.write,
    "shopify": shopify.write,
    "square": square.write,
    "stripe": stripe.write_payments,
    "stripe-balance": stripe.write_balance,
    "woocommerce": woocommerce.write_columns,
    "woocommerce-json": woocommerce.write_json,
}
# Of which nothing is known before.
GUESSED: dict[str, Write] = {
    "superstore": superstore.write,
    "chinook": chinook.write,
    "ta_feng": ta_feng.write,
    "till": till.write,
    "shopify_api": shopify_api.write,
    "etsy": etsy.write,
    "northwind": northwind.write_database,
    "northwind-csv": northwind.write_files,
}


def sums(text: str, folder: Path, spark: SparkSession) -> dict[str, TableTrial]:
    trial = tried(text, folder, STAGES, SOURCES, lambda: spark)
    assert {table.key: table.reason for table in trial.tables if table.status != "done"} == {}
    assert {table.key: table.rejected for table in trial.tables if table.rejected} == {}
    return {table.key: table for table in trial.tables}


def revenue(truth: Truth) -> float:
    return float(sum((bill.amount for bill in truth.bills.values()), Decimal(0)))


@pytest.mark.parametrize("program", KNOWN)
def test_an_export_that_is_known_is_recognised_and_runs_unchanged_to_the_right_sums(program, tmp_path, spark):
    truth = KNOWN[program](tmp_path)
    proposal = draft([str(tmp_path)], tmp_path, {})
    assert proposal.program == program
    bills = sums(proposal.text, tmp_path, spark)["clean/bills"]
    assert bills.rows == len(truth.bills)
    assert bills.sums["amount"] == pytest.approx(revenue(truth), abs=0.01)


@pytest.mark.parametrize("shape", GUESSED)
def test_a_draft_of_guesses_runs_unchanged_to_the_right_sums(shape, tmp_path, spark):
    truth = GUESSED[shape](tmp_path)
    proposal = draft([str(tmp_path)], tmp_path, {}, knows_programs=False)
    assert proposal.program == ""
    tables = sums(proposal.text, tmp_path, spark)
    assert tables["clean/bills"].rows == len(truth.bills)
    assert tables["clean/bills"].sums["amount"] == pytest.approx(revenue(truth), abs=0.01)
    assert tables["clean/bills"].sums["quantity"] == sum(bill.pieces or 0 for bill in truth.bills.values())
    if truth.items is not None:
        assert tables["clean/items"].rows == len(truth.items)


def test_every_program_that_is_known_has_a_shape_here():
    assert set(KNOWN) == set(SIGNATURES)


@pytest.mark.parametrize("shape", GUESSED)
def test_what_no_file_tells_is_asked_and_what_is_said_is_not(shape, tmp_path):
    GUESSED[shape](tmp_path)
    answers = {"vertical": "fashion", "currency": "CHF", "time_zone": "Europe/Zurich"}
    open_draft = draft([str(tmp_path)], tmp_path, {}, knows_programs=False)
    assert 'time_zone = "UTC"  # ?' in open_draft.text
    assert any("time zone" in question for question in open_draft.questions)
    said = draft([str(tmp_path)], tmp_path, answers, knows_programs=False)
    assert 'time_zone = "Europe/Zurich"\n' in said.text
    assert 'currency = "CHF"\n' in said.text
    assert not any("time zone" in question or "in which currency" in question for question in said.questions)


def test_where_bills_number_their_users_anew_the_id_by_which_people_come_back_is_the_user(tmp_path, spark):
    truth = olist.write(tmp_path)
    proposal = draft([str(tmp_path)], tmp_path, {}, knows_programs=False)
    assert not any("who is a user" in question for question in proposal.questions)
    tables = sums(proposal.text, tmp_path, spark)
    assert tables["raw/bills"].rows == len(truth.bills)
    assert tables["raw/users"].rows == len(truth.listed_users)
    assert {row["bill_id"]: row["user_id"] for row in tables["raw/bills"].first}.items() <= {
        name: bill.user for name, bill in truth.bills.items()
    }.items()
