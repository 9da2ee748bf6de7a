"""Who is told of what: the rules, what is new, and messages through real small servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.alerts.channels import send
from capflow_assets.alerts.news import Alarm, Message, message_of, told_now
from capflow_assets.alerts.settings import FILE, AlertRule, read_rules
from capflow_assets.errors import CapflowError
from capflow_assets_doubles.alert_servers import mail_server, web_server

FAILED = Alarm("customer failed", "boots", "", "raw/bills: the file is gone", "http://dagster/runs/7")
ASKS = Alarm("asks waiting", "cafe", "churn", "its calibration error is 0.3, at most 0.25 allowed")
ALL = AlertRule(name="all", slack={"url": {"env": "CHAT"}})


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / FILE).write_text(text)
    return tmp_path


def test_without_a_file_there_are_no_rules(tmp_path: Path) -> None:
    assert read_rules(tmp_path) == ()


def test_rules_say_who_is_told_of_what(tmp_path: Path) -> None:
    text = """
    [[alert]]
    name = "operations"
    what = ["customer failed"]
    customers = ["boots"]
    email = { host = "mail.example", sender = "a@example.com", to = ["b@example.com"] }
    """
    (rule,) = read_rules(written(tmp_path, text), ["boots", "cafe"])
    assert rule.wants("customer failed", "boots")
    assert not rule.wants("customer failed", "cafe")
    assert not rule.wants("asks waiting", "boots")
    assert ALL.wants("drifted", "anybody")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[alert]]\nname = 'a'", "one of email, slack and pagerduty"),
        ("[[alert]]\nname = 'a'\nslack = { url = 'https://hooks.example/SECRET' }", "the name of a variable"),
        ("[[alert]]\nname = 'a'\nwhat = ['fire']\nslack = { url = { env = 'A' } }", "customer failed"),
        ("[[alert]]\nname = 'a'\ncustomers = ['nobody']\nslack = { url = { env = 'A' } }", "not here"),
        ("[[alert]", "cannot be read"),
        ("[[alert]]\nname = 'a'\nslack = { url = { env = 'A' } }\n" * 2, "a name of its own"),
        (
            "[[alert]]\nname = 'a'\nemail = { host = 'm', sender = 'a@b', to = ['c@d'], encryption = 'none', "
            "user = 'u', password = { env = 'P' } }",
            "an encrypted line",
        ),
        ("[[alert]]\nname = 'a'\nemail = { host = 'm', sender = 'a@b', to = ['c@d\\nBcc: e@f'] }", "pattern"),
    ],
)
def test_a_wrong_file_is_refused_with_words_and_without_secrets(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CapflowError) as caught:
        read_rules(written(tmp_path, text), ["boots"])
    assert words in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_trouble_is_told_once_until_it_changes_and_once_when_it_is_over() -> None:
    first = message_of(ALL, [FAILED, ASKS], {})
    assert first is not None
    assert (first.fresh, first.over) == ((FAILED, ASKS), ())
    known_alarms = told_now(ALL, [FAILED, ASKS])
    assert message_of(ALL, [FAILED, ASKS], known_alarms) is None
    changed = Alarm("customer failed", "boots", "", "raw/items: the disk is full")
    second = message_of(ALL, [changed, ASKS], known_alarms)
    assert second is not None
    assert second.fresh == (changed,)
    last = message_of(ALL, [], told_now(ALL, [changed, ASKS]))
    assert last is not None
    assert last.fresh == ()
    assert last.over == ("asks waiting|cafe|churn", "customer failed|boots|")
    assert last.title == "CapFlow: 2 over"


def test_a_message_groups_by_kind_and_counts_what_it_leaves_out() -> None:
    many = tuple(Alarm("drifted", f"c{number:02}", "churn", "other users") for number in range(30))
    message = Message("all", (FAILED, *many), ())
    assert message.title == "CapFlow: 1 customer failed, 30 drifted"
    assert "- boots: raw/bills: the file is gone (http://dagster/runs/7)" in message.text
    assert "- and 10 more" in message.text
    assert message.text.index("Customer failed") < message.text.index("Drifted")


def test_a_reason_of_several_lines_is_one_line_whose_parts_are_told_apart_and_says_what_is_cut_off() -> None:
    refusal = "brand.toml has 1 problem.\n  1. tables.bills.source.\n     Came: 'cvs'\n     To do: 'csv'?"
    refused = Alarm("refused TOML", "brand", "brand.toml", refusal, "http://dagster/night")
    text = Message("all", (refused,), ()).text
    assert text.splitlines() == [
        "Refused TOML",
        "- brand: brand.toml has 1 problem; 1. tables.bills.source; Came: 'cvs'; To do: 'csv'? (http://dagster/night)",
    ]
    assert "… (500 more characters)" in Alarm("drifted", "boots", "churn", "a" * 1000).line()


def test_an_e_mail_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as mails:
        way = {
            "host": "127.0.0.1",
            "port": mails.port,
            "encryption": "none",
            "sender": "capflow@example.com",
            "to": ["ann@example.com", "bob@example.com"],
        }
        send(AlertRule(name="ops", email=way), Message("ops", (FAILED,), ()))
    ((sender, to, mail),) = mails.taken
    assert (sender, to) == ("capflow@example.com", ["ann@example.com", "bob@example.com"])
    assert mail["Subject"] == "CapFlow: 1 customer failed"
    assert "the file is gone" in mail.get_content()


def test_a_mail_server_that_refuses_one_and_one_that_is_down_are_named() -> None:
    with mail_server(refuses=("bob@example.com",)) as mails:
        way = {"host": "127.0.0.1", "port": mails.port, "encryption": "none", "sender": "a@example.com"}
        rule = AlertRule(name="ops", email={**way, "to": ["ann@example.com", "bob@example.com"]})
        with pytest.raises(CapflowError, match=r"refused for some[\s\S]*bob@example.com"):
            send(rule, Message("ops", (FAILED,), ()))
        assert mails.taken[0][1] == ["ann@example.com"]
    with pytest.raises(CapflowError, match="was not sent"):
        send(rule, Message("ops", (FAILED,), ()))


def test_chat_gets_text_that_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as posts:
        monkeypatch.setenv("CHAT", posts.url)
        rule = AlertRule(name="chat", slack={"url": {"env": "CHAT"}, "allow_private": True})
        send(rule, Message("chat", (Alarm("drifted", "boots", "churn", "<!channel> & more"),), ()))
        assert posts.bodies[0]["text"].endswith("boots churn: &lt;!channel&gt; &amp; more")
        posts.status = 500
        with pytest.raises(CapflowError, match="status 500") as caught:
            send(rule, Message("chat", (FAILED,), ()))
        assert "/hook" not in str(caught.value), "the address is a secret"


def test_a_private_address_is_refused_unless_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as posts:
        monkeypatch.setenv("CHAT", posts.url)
        with pytest.raises(CapflowError, match="its address cannot be used"):
            send(ALL, Message("all", (FAILED,), ()))
        assert posts.bodies == []


def test_pagerduty_knows_a_trouble_again_and_resolves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "abc")
    with web_server() as posts:
        way = {"routing_key": {"env": "KEY"}, "url": posts.url, "allow_private": True}
        rule = AlertRule(name="duty", pagerduty=way)
        send(rule, Message("duty", (FAILED,), ()))
        send(rule, Message("duty", (), (FAILED.key,)))
    begun, over = posts.bodies
    assert (begun["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert begun["dedup_key"] == over["dedup_key"]
    assert begun["routing_key"] == "abc"
    assert begun["payload"]["severity"] == "error"
    assert begun["payload"]["source"] == "boots"
    assert begun["links"][0]["href"] == "http://dagster/runs/7"
