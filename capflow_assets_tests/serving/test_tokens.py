"""Tokens: digests on the disk, a change-over without a gap, and no token that opens another customer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from capflow_assets.home.places import Home
from capflow_assets.serving.tokens import Gate, ServedCustomers, issue, kept_tokens, revoke, served_customers


@pytest.fixture
def home(tmp_path: Path) -> Home:
    place = Home.of(tmp_path)
    place.customers.mkdir()
    for name in ("acme", "boots"):
        (place.customers / f"{name}.toml").write_text(f'name = "{name}"')
    return place


def test_a_token_is_its_customers_and_nothing_else_is(home):
    token = issue(home, "acme")
    issue(home, "boots")
    gate = Gate(home)
    assert gate.owner(token) == "acme"
    assert [gate.owner(text) for text in ("", token[:-1], f"{token}x", "cfa_", "x" * 10_000)] == [None] * 5


def test_the_disk_has_no_token(home):
    token = issue(home, "acme")
    held = [file.read_text() for file in home.root.rglob("*.json")]
    assert len(held) == 1
    assert not [text for text in held if token in text or token.removeprefix("cfa_") in text]


def test_the_token_before_holds_for_the_overlap_and_no_longer(home):
    first = issue(home, "acme")
    second = issue(home, "acme", overlap_hours=1)
    assert (Gate(home).owner(first), Gate(home).owner(second)) == ("acme", "acme")
    third = issue(home, "acme", overlap_hours=0)
    assert [Gate(home).owner(token) for token in (first, second, third)] == [None, None, "acme"]


def test_a_third_token_does_not_prolong_the_first(home):
    issue(home, "acme", now=0)
    issue(home, "acme", overlap_hours=1, now=0)
    issue(home, "acme", overlap_hours=10, now=1800)
    assert [kept.ends for kept in kept_tokens(home, "acme")] == [3600, 1800 + 36000, None]


def test_a_revoked_customer_is_served_no_more(home):
    token = issue(home, "acme")
    assert served_customers(home) == ["acme"]
    assert revoke(home, "acme") == 1
    assert (Gate(home).owner(token), served_customers(home)) == (None, [])


def test_a_customer_that_is_not_onboarded_any_more_has_no_token(home):
    token = issue(home, "acme")
    (home.customers / "acme.toml").unlink()
    assert Gate(home).owner(token) is None


def test_a_file_of_tokens_that_is_damaged_opens_nothing(home):
    token = issue(home, "acme")
    (home.root / "serving_tokens" / "acme.json").write_text('[{"sha256": ')
    assert Gate(home).owner(token) is None


def test_a_token_that_was_just_issued_opens_at_once(home):
    gate = Gate(home)
    assert gate.owner("cfa_unknown") is None
    token = issue(home, "acme")
    until = time.monotonic() + 10
    while gate.owner(token) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert gate.owner(token) == "acme"


def test_who_is_served_follows_tokens_and_declarations(home):
    served = ServedCustomers(home)
    assert served() == []
    issue(home, "acme")
    issue(home, "boots")
    assert served() == ["acme", "boots"]
    revoke(home, "boots")
    (home.customers / "acme.toml").unlink()
    assert served() == []


def test_folders_that_have_not_changed_for_long_are_not_listed_and_a_change_is_seen(home):
    issue(home, "acme")
    served = ServedCustomers(home)
    for folder in (home.root / "serving_tokens", home.customers):
        os.utime(folder, (1_000_000_000, 1_000_000_000))
    assert served() == ["acme"]
    issue(home, "boots")
    assert served() == ["acme", "boots"]


def test_a_token_of_somebody_else_is_known_as_theirs_until_it_is_revoked(home):
    token = issue(home, "boots")
    gate = Gate(home)
    assert (gate.holder(token, "boots"), gate.holder(token, "acme")) == ("boots", "boots")
    revoke(home, "boots")
    assert Gate(home).holder(token, "acme") is None


@pytest.mark.parametrize("name", ["", "..", "../customers/acme", "x" * 5_000, "a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_opens_nothing(home, name):
    assert Gate(home).holder(issue(home, "acme"), name) == "acme"
    assert Gate(home).holder("cfa_unknown", name) is None
