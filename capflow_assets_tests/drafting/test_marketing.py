"""Campaigns, used coupons and reviews are drafted beside bills and messages; what a known export lacks is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

from capflow_assets.drafting.draft import draft
from capflow_assets_tests.shapes import etsy

MOMENTS = [f"2024-03-0{row % 5 + 1} 09:00:00" for row in range(40)]
SENT = [f"P{row % 8},c{row % 5},email,{at}" for row, at in enumerate(MOMENTS)]


def write(folder: Path, name: str, header: str, rows: list[str]) -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_all_tables_of_marketing_are_drafted_beside_bills(tmp_path):
    bills = [f"B{row},P{row % 8},{at},{row}.50" for row, at in enumerate(MOMENTS)]
    write(tmp_path, "orders.csv", "order_id,customer_id,order_date,total", bills)
    write(tmp_path, "messages.csv", "user_id,campaign_id,channel,sent_at", SENT)
    campaigns = [f"c{row},Sale {row},promo,2024-03-0{row + 1},2024-03-1{row}" for row in range(5)]
    write(tmp_path, "campaigns.csv", "id,name,type,start_date,end_date", campaigns)
    used = [f"P{row % 8},K{row % 3},c{row % 5},{at}" for row, at in enumerate(MOMENTS)]
    write(tmp_path, "coupon_redemptions.csv", "customer_id,coupon_code,campaign_id,redeemed_at", used)
    written = [f"R{row},I{row % 4},P{row % 8},{row % 5 + 1},good thing no {row},{at}" for row, at in enumerate(MOMENTS)]
    write(tmp_path, "reviews.csv", "review_id,product_id,customer_id,rating,review_text,created_at", written)
    declared = tomllib.loads(draft([str(tmp_path)], tmp_path, {}).text)["tables"]
    assert {name: table["columns"] for name, table in declared.items()} == {
        "bills": {"bill_id": "order_id", "user_id": "customer_id", "billed_at": "order_date", "amount": "total"},
        "messages": {"campaign_id": "campaign_id", "user_id": "user_id", "sent_at": "sent_at", "channel": "channel"},
        "campaigns": {
            "campaign_id": "id", "name": "name", "kind": "type", "starts_at": "start_date", "ends_at": "end_date",
        },
        "redemptions": {
            "user_id": "customer_id", "coupon_id": "coupon_code", "campaign_id": "campaign_id",
            "redeemed_at": "redeemed_at",
        },
        "reviews": {
            "review_id": "review_id", "text": "review_text", "rating": "rating", "item_id": "product_id",
            "user_id": "customer_id", "written_at": "created_at",
        },
    }  # fmt: skip


def test_messages_beside_a_known_export_are_named_as_not_mapped(tmp_path):
    etsy.write(tmp_path)
    write(tmp_path, "messages.csv", "user_id,campaign_id,channel,sent_at", SENT)
    proposal = draft([str(tmp_path)], tmp_path, {})
    assert proposal.program == "etsy"
    assert [question for question in proposal.questions if "not mapped" in question] == [
        "messages is not mapped: draft it alone, and add its table to this TOML"
    ]
