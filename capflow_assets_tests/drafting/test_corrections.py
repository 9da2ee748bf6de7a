"""Records that come several times: the later one holds, and what came twice unchanged counts once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.drafting.draft import draft
from capflow_assets.drafting.trial import tried


def order(number: int, pieces: int = 1, day: int = 0, status: str = "paid") -> dict[str, Any]:
    lines = [{"sku": f"S{number % 5}", "qty": pieces, "price": 10.0, "line_total": 10.0 * pieces},
             {"sku": "S9", "qty": 1, "price": 4.0, "line_total": 4.0}]  # fmt: skip
    created = f"2024-{1 + number // 25:02}-{1 + number % 25:02}T09:00:00+05:30"
    changed = created if not day else f"2024-09-{day:02}T09:00:00+05:30"
    return {
        "order_id": f"OD{number}", "created_at": created, "updated_at": changed, "status": status,
        "customer": {"id": f"c{number % 8}"}, "line_items": lines, "total": 10.0 * pieces + 4.0,
    }  # fmt: skip


def sent() -> list[dict[str, Any]]:
    """Sixty orders; the first is corrected to three pieces, the second cancelled, the third sent twice."""
    return [*map(order, range(60)), order(0, pieces=3, day=1), order(1, day=2, status="cancelled"), order(2)]


def write(folder: Path, records: list[dict[str, Any]]) -> str:
    (folder / "orders.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    return draft([str(folder)], folder, {"currency": "INR", "time_zone": "Asia/Kolkata"}).text


def test_the_later_record_of_a_bill_holds_and_copies_count_once(tmp_path, spark):
    text = write(tmp_path, sent())
    assert text.count('exports_by = "updated_at"') == 2
    assert 'equal_lines = "drop"  # records came twice' in text
    trial = {table.key: table for table in tried(text, tmp_path, STAGES, SOURCES, lambda: spark).tables}
    assert trial["clean/bills"].rows == 59
    assert trial["clean/bills"].sums["amount"] == 58 * 14 + 34
    assert trial["clean/line_items"].sums["quantity"] == 58 * 2 + 4


@pytest.mark.parametrize("is_bought_twice", [True, False])
def test_a_shop_whose_bills_have_equal_lines_is_asked_before_copies_go(tmp_path, is_bought_twice):
    records = sent()
    if is_bought_twice:
        records[9]["line_items"] *= 2
        records[9]["total"] *= 2
    text = write(tmp_path, records)
    assert ("bought twice on one bill" in text) == is_bought_twice


def test_bills_that_come_once_need_no_word_of_it(tmp_path):
    text = write(tmp_path, list(map(order, range(60))))
    assert "exports_by" not in text
    assert "equal_lines" not in text


def test_without_a_column_that_tells_the_later_one_a_person_is_asked(tmp_path):
    records = [{key: value for key, value in record.items() if key != "updated_at"} for record in sent()]
    text = write(tmp_path, records)
    assert "exports_by =" not in text
    assert "no column says which is the later" in text
