"""What a model's card says in lines: how it stands, what was decided, and what a person is to do next."""

from __future__ import annotations

from typing import Any

import pytest

from capflow_assets.pages.card_content import lines


def report(**changes: Any) -> dict[str, Any]:
    """The report of the first version of a model, as it is read from the registry."""
    reason = "A person decides: its calibration error is 0.2991, at most 0.25 allowed."
    usual: dict[str, Any] = {
        "customer": "boots",
        "model": "lifetime_value",
        "version": 1,
        "family": "lifetime value",
        "is_champion": False,
        "champion_version": None,
        "frozen": False,
        "decision": {"action": "ask", "reason": reason},
        "promotion": {"action": "ask", "reason": reason},
        "feature_columns": ["visits"],
        "data_versions": {"clean/bills": 3},
        "code_version": "0.1.0+abc",
        "seed": 0,
        "plots": [],
        "artifacts": "files",
    }
    return usual | changes


def line(name: str, **changes: Any) -> str:
    return dict(lines(report(**changes)))[name]


def test_a_version_that_asks_names_the_command_that_promotes_it() -> None:
    expected = (
        "decide. To promote it: capflow promote boots lifetime_value --version 1. To leave things as they are: nothing"
    )
    assert line("to do") == expected


def test_a_champion_beside_a_version_that_asks_says_so() -> None:
    asking = {"challenger_version": 4, "challenger_decision": {"action": "ask"}, "is_champion": True, "version": 5}
    assert line("to do", **asking) == (
        "decide about version 4 (capflow explain boots lifetime_value --version 4). "
        "To promote it: capflow promote boots lifetime_value --version 4"
    )
    assert line("to do", **(asking | {"challenger_decision": {"action": "keep"}})) == "nothing"


def test_a_version_that_was_kept_from_promotion_says_how_it_may_be_promoted_all_the_same() -> None:
    words = line("to do", decision={"action": "keep", "reason": "Not promoted: it is worse."})
    assert words.startswith(
        "nothing; the next training competes again (capflow run boots --select models/lifetime_value)"
    )
    assert words.endswith("capflow promote boots lifetime_value --version 1")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("none", "nothing"),
        ("wait", "nothing yet; it is looked at again after the next scoring"),
        ("fix the feed", "mend what the customer sends, then capflow run boots"),
        ("ask", "decide whether to train again: capflow run boots --select models/lifetime_value"),
    ],
)
def test_a_champion_does_what_its_health_calls_for(action: str, words: str) -> None:
    health = {"action": action, "cause": "feed", "reason": "Half of the bills are missing."}
    assert line("to do", is_champion=True, health=health) == words


def test_a_frozen_champion_says_how_it_thaws() -> None:
    assert line("to do", is_champion=True, frozen=True) == "nothing; frozen until capflow thaw boots lifetime_value"


def test_health_names_action_and_cause_where_something_is_to_be_done() -> None:
    calm = {"action": "none", "cause": "calm", "reason": "Nothing calls for a training."}
    assert line("health", health=calm) == "Nothing calls for a training."
    late = {"action": "fix the feed", "cause": "feed", "reason": "Half of the bills are missing."}
    assert line("health", health=late) == "fix the feed (feed): Half of the bills are missing."
