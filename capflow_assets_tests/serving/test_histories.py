"""Visits are published as of the night that the lists were made for, and who is forgotten leaves none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from capflow_assets.deployment import Deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.online.histories import unpacked_visits
from capflow_assets.packages import STAGES, deployment
from capflow_assets.serving.histories import HISTORIES, follows_visits
from capflow_assets.serving.publication import publish, publish_night
from capflow_assets.serving.tokens import issue
from capflow_assets.stores.answer_store import AnswerStore, subjects_of
from capflow_assets_doubles.fleets import TOML

NET, NIGHT = "sequence_recommendations", datetime(2024, 5, 20, tzinfo=UTC)
# User, item, days after the first of May, whether it was brought back, flags.
LINES = (
    ("ana", "tea", 0, False, ""),
    ("ana", "jam", 0, False, ""),
    ("ana", "tea", 8, False, ""),
    ("ana", "oil", 30, False, ""),  # after the night
    ("bea", "tea", 3, False, ""),
    ("bea", "gin", 3, True, ""),
    ("bea", "bag", 4, False, "not_an_item"),
    (None, "tea", 4, False, ""),
)


@pytest.fixture
def place(tmp_path: Path) -> Deployment:
    home = Home.of(tmp_path, {}).prepare()
    (home.customers / "acme.toml").write_text(TOML.format(name="acme"))
    issue(home, "acme")
    opened = deployment(home)
    write_lines(opened)
    answers = {"user_id": ["ana"], "item_id": ["tea"], "rank": [1], "score": [0.5], "model_version": [1]}
    rows = pa.table({**answers, "rung": ["own"], "as_of": [NIGHT]})
    deltalake.write_deltalake(opened.lake.path("acme", f"predictions/{NET}"), rows)
    return opened


def write_lines(opened: Deployment) -> None:
    users, items, days, returns, flags = zip(*LINES, strict=True)
    first = datetime(2024, 5, 1, 12, tzinfo=UTC)
    rows = {
        "user_id": users,
        "item_id": items,
        "billed_at": [first + timedelta(days=day) for day in days],
        "billed_on": [date(2024, 5, 1) + timedelta(days=day) for day in days],
        "is_return": returns,
        "flags": flags,
    }
    path = opened.lake.path("acme", "clean/line_items")
    deltalake.write_deltalake(path, pa.table({name: list(values) for name, values in rows.items()}), mode="overwrite")


def stored(opened: Deployment) -> dict[str, list[list[str]]]:
    store = AnswerStore.of(opened.home, "acme")
    table = store.tables()[HISTORIES]
    assert table.facts == {"as_of": NIGHT.isoformat()}
    return {user: unpacked_visits(content) for user, content in subjects_of(store.path(table))}


def test_the_night_publishes_what_it_read_and_nothing_later(place):
    assert publish_night(place, "acme", NET) == ""
    assert stored(place) == {"ana": [["tea", "jam"], ["tea"]], "bea": [["tea"]]}


def test_a_server_publishes_them_where_no_night_did_and_again_only_when_lines_are_newer(place):
    assert publish(place, "acme")[HISTORIES] == "2 subjects"
    assert HISTORIES not in publish(place, "acme")
    write_lines(place)
    assert publish(place, "acme")[HISTORIES] == "2 subjects"


def test_who_is_forgotten_leaves_no_visits(place):
    publish(place, "acme")
    assert AnswerStore.of(place.home, "acme").forget(["ana"]) == 2
    assert stored(place) == {"bea": [["tea"]]}


def test_only_the_net_over_baskets_follows_visits():
    assert [name for name, spec in STAGES.models.items() if follows_visits(spec)] == [NET]
