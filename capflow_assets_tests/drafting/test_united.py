"""Drafts of files whose columns changed over time: one table, and a column by all of its names."""

from __future__ import annotations

import tomllib

import pytest

from capflow_assets.drafting.draft import draft

HEAD = "order_id,order_date,sku,quantity,line_total"


def write_months(folder, headers):
    for month, (header, user) in enumerate(headers, 1):
        rows = [
            f"O{month}{n // 2},2024-{month:02}-{1 + n // 4:02},P{n % 5},{1 + n % 3},9.5,{user}{n % 7}"
            for n in range(60)
        ]
        (folder / f"sales-{month:02}.csv").write_text("\n".join([f"{HEAD},{header}", *rows]) + "\n")


def lines(folder):
    proposal = draft([str(folder)], folder, {})
    return tomllib.loads(proposal.text)["tables"]["line_items"], proposal.questions


def test_a_column_that_is_called_otherwise_since_is_read_by_both_names(tmp_path):
    write_months(tmp_path, [("Customer No", "C"), ("Customer No", "C"), ("loyalty card", "C")])
    drafted, questions = lines(tmp_path)
    assert drafted["location"] == "sales-*.csv"
    assert drafted["columns"]["user_id"] == "coalesce(`loyalty card`, `Customer No`)"
    assert [question for question in questions if "older files call Customer No" in question]
    assert not any("as well as" in question or "more files" in question for question in questions)


@pytest.mark.parametrize(("former", "now"), [("zeta", "omega"), ("customer", "omega")])
def test_without_a_word_the_same_values_tell_that_it_is_the_same_column(former, now, tmp_path):
    write_months(tmp_path, [(former, "C"), (now, "C")])
    drafted, questions = lines(tmp_path)
    assert f"{now} is taken for what older files call {former}: is it?" in questions
    assert drafted["columns"].get("user_id") in (None, f"coalesce({now}, {former})")


def test_a_column_that_newer_files_have_beside_the_others_splits_no_table(tmp_path):
    write_months(tmp_path, [("customer", "C"), ("customer,till", "C1,")])
    drafted, questions = lines(tmp_path)
    assert drafted["columns"]["user_id"] == "customer"
    assert not any("older files" in question or "as well as" in question for question in questions)


def test_files_that_are_called_otherwise_are_tables_of_their_own(tmp_path):
    write_months(tmp_path, [("customer", "C")])
    (tmp_path / "shops-02.csv").write_text((tmp_path / "sales-01.csv").read_text().replace("customer", "till"))
    _, questions = lines(tmp_path)
    assert any("may be lines as well as" in question for question in questions)
