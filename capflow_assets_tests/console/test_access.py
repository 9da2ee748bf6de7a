"""Who may look at the pages and who may decide."""

from __future__ import annotations

import pytest

from capflow_assets.console.access import VARIABLE, Access
from capflow_assets.console.page_views import own_path
from capflow_assets.errors import CapflowError

TOKEN = "a token of enough characters"


@pytest.mark.parametrize(
    ("host", "may"),
    [("127.0.0.1:8080", True), ("localhost", True), ("[::1]:80", True), ("evil.example", False), ("", False)],
)
def test_without_a_token_this_machine_alone_may_look(host: str, may: bool) -> None:
    access = Access.of({})
    assert access.may_look(host, None) is may
    assert not access.has_signed_in("")
    assert not access.is_token("")


def test_with_a_token_whoever_signed_in_may_look_from_anywhere() -> None:
    access = Access.of({VARIABLE: TOKEN})
    assert access.is_token(TOKEN)
    assert not access.is_token(TOKEN[:-1])
    assert access.may_look("fleet.example", access.cookie)
    assert not access.may_look("127.0.0.1", None)
    assert not access.may_look("127.0.0.1", TOKEN)
    assert TOKEN not in access.cookie


def test_a_cookie_of_another_process_is_worth_nothing() -> None:
    assert Access.of({VARIABLE: TOKEN}).cookie != Access.of({VARIABLE: TOKEN}).cookie


def test_a_short_token_is_refused() -> None:
    with pytest.raises(CapflowError, match=f"{VARIABLE} is too short"):
        Access.of({VARIABLE: "short"})


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert own_path(path) == "/"
