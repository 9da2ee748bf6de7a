"""Drafts of files whose columns changed over time: one table, and a column by all of its names."""

from __future__ import annotations

import json
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


def test_files_in_folders_of_stores_are_one_table_that_knows_the_store(tmp_path):
    for store in (1, 2):
        (tmp_path / f"store={store}").mkdir()
        write_months(tmp_path / f"store={store}", [("customer", "C"), ("customer", "C")])
    drafted, questions = lines(tmp_path)
    assert drafted["location"] == "store=*/sales-*.csv"
    assert drafted["columns"]["store_id"] == "store"
    assert not any("as well as" in question or "more files" in question for question in questions)


def test_users_who_became_others_are_asked_about(tmp_path):
    write_months(tmp_path, [("customer_id", "C")])
    rows = "".join(f"C{place},{'' if place else 'C1'},Oslo\n" for place in range(7))
    (tmp_path / "customers.csv").write_text(f"customer_id,merged_into,city\n{rows}")
    _, questions = lines(tmp_path)
    assert any("merged_into: are these users who became others?" in question for question in questions)


def test_ids_and_times_as_mongodb_exports_them_are_paths_that_a_mapping_reads(tmp_path):
    orders = [
        {"_id": {"$oid": f"{n:024x}"}, "userId": f"U{n % 7}", "createdAt": {"$date": f"2024-01-{1 + n % 28:02}T10:00Z"},
         "cart": [{"sku": f"P{n % 5}", "count": 2, "total": 9.5}], "grandTotal": 9.5}
        for n in range(60)
    ]  # fmt: skip
    (tmp_path / "orders.json").write_text(json.dumps(orders))
    tables = tomllib.loads(draft([str(tmp_path)], tmp_path, {}).text)["tables"]
    assert tables["bills"]["columns"] == {
        "bill_id": "_id.`$oid`", "user_id": "userId", "billed_at": "createdAt.`$date`", "amount": "grandTotal",
    }  # fmt: skip
    assert tables["line_items"]["columns"]["bill_id"] == "_id.`$oid`"
