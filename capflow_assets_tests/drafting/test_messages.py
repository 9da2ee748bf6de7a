"""Messages of several tools are drafted, alone and beside bills, and a draft of them lands as it is."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.drafting.draft import Drafted, draft
from capflow_assets.drafting.trial import TableTrial, tried

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USERS, DAYS = 8, 5
# One row a message: what each of three tools calls its columns, and how it writes them.
KLAVIYO = ("profile_id,campaign_name,message_channel,send_time,opened_at,clicked_at", "P{u},Sale {d},{c},{s},{o},{k}")
BRAZE = ("external_user_id,canvas_id,channel,sent_at,first_open_time,first_click_time,in_control_group",
         "P{u},cv-{d},{c},{s},{o},{k},false")  # fmt: skip
MAILCHIMP = ("Email Address,Campaign Title,Send Date,Opened,Clicked", "P{u}@ex.com,Sale {d},{s},{o},{k}")
TOOLS = {"klaviyo": KLAVIYO, "braze": BRAZE, "mailchimp": MAILCHIMP}


def messages(header: str, row: str) -> str:
    """A message to each user on each day: users of even numbers open theirs, every fourth clicks."""
    rows = [header]
    for day in range(1, DAYS + 1):
        for user in range(USERS):
            opened = f"2024-03-0{day} 1{user}:30:00" if user % 2 == 0 else ""
            clicked = f"2024-03-0{day} 1{user}:31:00" if user % 4 == 0 else ""
            channel = "email" if user % 3 else "sms"
            rows.append(row.format(u=user, d=day, c=channel, s=f"2024-03-0{day} 09:00:00", o=opened, k=clicked))
    return "\n".join(rows) + "\n"


def events(header: str, row: str, words: tuple[str, str, str, str]) -> str:
    """The same as a log: sent, opened and clicked are rows of their own, and so is a bounce each day."""
    sent, opened, clicked, bounced = words
    rows = [header]
    for day in range(1, DAYS + 1):
        for user in range(USERS):
            named = [(sent, "09:00")] + [(opened, f"1{user}:30"), (opened, f"1{user}:50")] * (user % 2 == 0)
            named += [(clicked, f"1{user}:31")] * (user % 4 == 0) + [(bounced, "09:01")] * (user == 1)
            rows += [row.format(u=user, d=day, e=word, t=f"2024-03-0{day}T{clock}:00Z") for word, clock in named]
    return "\n".join(rows) + "\n"


def bills() -> str:
    rows = [f"B{bill},P{bill % USERS},2024-02-{bill % 28 + 1:02} 10:00:00,{bill}.50" for bill in range(40)]
    return "\n".join(["order_id,customer_id,order_date,total", *rows]) + "\n"


def drafted(folder: Path, **files: str) -> Drafted:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return draft([str(folder)], folder, {"name": "brand", "currency": "EUR"})


def tables(proposal: Drafted) -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads(proposal.text)["tables"]
    return declared


def landed(proposal: Drafted, folder: Path, spark: SparkSession) -> dict[str, TableTrial]:
    trial = tried(proposal.text, folder, STAGES, SOURCES, lambda: spark)
    assert {table.key: table.reason for table in trial.tables if table.status != "done"} == {}
    assert {table.key: table.rejected for table in trial.tables if table.rejected} == {}
    return {table.key: table for table in trial.tables}


@pytest.mark.parametrize(
    ("tool", "columns"),
    [
        ("klaviyo", {"campaign_id": "campaign_name", "user_id": "profile_id", "sent_at": "send_time",
                     "opened_at": "opened_at", "clicked_at": "clicked_at", "channel": "message_channel"}),
        ("braze", {"campaign_id": "canvas_id", "user_id": "external_user_id", "sent_at": "sent_at",
                   "opened_at": "first_open_time", "clicked_at": "first_click_time", "channel": "channel",
                   "is_control": "in_control_group"}),
        ("mailchimp", {"campaign_id": "Campaign Title", "user_id": "lower(`Email Address`)", "sent_at": "Send Date",
                       "opened_at": "Opened", "clicked_at": "Clicked", "channel": "'email'"}),
    ],
)  # fmt: skip
def test_messages_alone_are_drafted_with_the_columns_of_each_tool(tool, columns, tmp_path, spark):
    proposal = drafted(tmp_path, email_sends__csv=messages(*TOOLS[tool]))
    assert proposal.tables == ("messages",)
    assert tables(proposal)["messages"]["columns"] == columns
    assert tables(proposal)["messages"].get("personal") == (["user_id"] if tool == "mailchimp" else None)
    assert "no bills are mapped" in proposal.text
    trial = landed(proposal, tmp_path, spark)
    assert trial["raw/messages"].rows == USERS * DAYS
    assert {"sent_at", "channel"} <= trial["raw/messages"].first[0].keys()


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("profile_id,metric,campaign_name,timestamp", "P{u},{e},Sale {d},{t}",
         ("Received Email", "Opened Email", "Clicked Email", "Bounced Email")),
        ("user_id,event_type,campaign_id,channel,time,dispatch_id", "P{u},{e},c{d},push,{t},{d}-{u}",
         ("send", "open", "click", "bounce")),
        ("Subscriber ID,Action,Campaign,Date", "P{u},{e},Sale {d},{t}", ("sent", "open", "click", "hard bounce")),
    ],
)  # fmt: skip
def test_a_log_of_events_is_one_row_a_message_with_the_first_time_of_each(header, row, words, tmp_path, spark):
    proposal = drafted(tmp_path, messages__csv=events(header, row, words))
    assert f"'{words[3]}' are left out" in proposal.text
    trial = landed(proposal, tmp_path, spark)["raw/messages"]
    assert trial.rows == USERS * DAYS
    first = [one for one in trial.first if one.get("clicked_at")]
    assert all(one["opened_at"].minute == 30 and one["clicked_at"].minute == 31 for one in first)
    assert all((one["sent_at"].hour, one["sent_at"].minute) == (9, 0) for one in trial.first)


@pytest.mark.parametrize("tool", ["klaviyo", "braze"])
def test_beside_bills_both_are_drafted_and_messages_are_never_bills(tool, tmp_path, spark):
    header, row = TOOLS[tool]
    sent = messages(f"{header},revenue", f"{row},1.00")
    proposal = drafted(tmp_path, orders__csv=bills(), messages__csv=sent)
    assert tables(proposal)["bills"]["location"] == "orders.csv"
    assert tables(proposal)["messages"]["location"] == "messages.csv"
    assert not any("do they meet" in question for question in proposal.questions)
    trial = landed(proposal, tmp_path, spark)
    assert (trial["clean/bills"].rows, trial["raw/messages"].rows) == (40, USERS * DAYS)


def test_a_flag_of_opening_is_no_time_and_is_asked(tmp_path):
    header, row = "user_id,campaign_id,channel,sent_at,opened", "P{u},c{d},email,{s},true"
    proposal = drafted(tmp_path, sends__csv=messages(header, row))
    assert "opened_at" not in tables(proposal)["messages"]["columns"]
    assert any("opened says whether, not when" in question for question in proposal.questions)


def test_messages_without_a_campaign_are_left_out_by_name_and_are_no_bills(tmp_path):
    text = messages("user_id,channel,sent_at,opened_at,revenue", "P{u},{c},{s},{o},1.00")
    proposal = drafted(tmp_path, orders__csv=bills(), messages__csv=text)
    assert proposal.tables == ("bills",)
    assert "messages: left out, it looks like messages, and no column names their campaign" in proposal.text


def test_users_who_are_none_of_the_bills_are_asked_about(tmp_path):
    header, row = KLAVIYO
    proposal = drafted(tmp_path, orders__csv=bills(), messages__csv=messages(header, row.replace("P{u}", "X{u}")))
    assert any("do they meet at all" in question for question in proposal.questions)


def test_the_group_that_was_held_out_is_control(tmp_path):
    header, row = "user_id,campaign_id,sent_at,group", "P{u},c{d},{s},{c}"
    text = messages(header, row).replace(",sms", ",Holdout").replace(",email", ",Test")
    columns = tables(drafted(tmp_path, sms_sends__csv=text))["messages"]["columns"]
    assert columns["is_control"] == "coalesce(group, '') in ('Holdout')"
    assert columns["channel"] == "'sms'"
