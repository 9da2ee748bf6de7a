"""Who answers, and what an answer says of itself; right values by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from capflow_assets.serving.ladder import (
    LAST_GOOD,
    POOLED,
    PRECOMPUTED,
    RULE,
    Lifetime,
    band_of,
    bands_of,
    live_answer,
    rung_of_table,
    stored_answer,
    typical_answer,
)
from capflow_assets.stores.answer_store import StoredTable

NIGHT = datetime(2024, 5, 1, 2, tzinfo=UTC)
MORNING = Lifetime(datetime(2024, 5, 1, 8, tzinfo=UTC), valid_hours=36)
NEXT_WEEK = Lifetime(datetime(2024, 5, 8, 8, tzinfo=UTC), valid_hours=36)


def table(**facts: object) -> StoredTable:
    return StoredTable("f", "s", {"as_of": NIGHT.isoformat(), "model_version": 3, "rung": "own", "per": [], **facts})


def listed(*items: str) -> bytes:
    rows = [{"item_id": item, "rank": rank, "score": 1 / rank} for rank, item in enumerate(items, 1)]
    return b"\n".join(orjson.dumps(row) for row in reversed(rows))


@pytest.mark.parametrize(
    ("champion", "life", "rung", "served_by"),
    [
        (3, MORNING, "own", PRECOMPUTED),
        (None, MORNING, "own", PRECOMPUTED),
        (4, MORNING, "own", LAST_GOOD),
        (3, NEXT_WEEK, "own", LAST_GOOD),
        (3, MORNING, "rule", RULE),
        (4, NEXT_WEEK, "pooled", POOLED),
    ],
)
def test_who_answers_from_the_store(champion, life, rung, served_by):
    assert rung_of_table(table(rung=rung), champion, life) == served_by


def test_an_answer_says_as_of_when_it_is_and_until_when_it_holds():
    answer = stored_answer(b'{"score":0.5,"band":"low"}', table(shape="score"), PRECOMPUTED, MORNING, frozenset(), None)
    assert answer == {
        "score": 0.5,
        "band": "low",
        "model_version": 3,
        "served_by": "precomputed",
        "as_of": "2024-05-01T02:00:00+00:00",
        "valid_until": "2024-05-02T14:00:00+00:00",
        "expired": False,
        "feature_age_s": 6 * 3600,
    }
    assert stored_answer(b'{"score":0.5}', table(shape="score"), LAST_GOOD, NEXT_WEEK, frozenset(), None)["expired"]


def test_a_list_leaves_out_what_is_unwanted_and_is_ranked_anew():
    facts = table(shape="list", per=["item_id"])
    answer = stored_answer(listed("a", "b", "c", "d"), facts, PRECOMPUTED, MORNING, frozenset({"b"}), 2)
    assert [(row["item_id"], row["rank"]) for row in answer["items"]] == [("a", 1), ("c", 2)]


def test_a_series_keeps_all_of_its_rows():
    content = b'{"day":"2024-05-02","visits":3.0}\n{"day":"2024-05-03","visits":4.0}'
    answer = stored_answer(content, table(shape="series", per=["day"]), PRECOMPUTED, MORNING, frozenset(), None)
    assert [row["visits"] for row in answer["rows"]] == [3.0, 4.0]


def test_what_is_typical_is_the_rule():
    facts = table(shape="score", typical=[{"score": 0.4}], bands=[[0.2, "low"], [0.9, "high"]])
    answer = typical_answer(facts, MORNING, frozenset(), None)
    assert (answer["score"], answer["band"], answer["served_by"]) == (0.4, "high", "rule")


def test_a_score_that_is_not_there_is_null_and_has_no_band():
    answer = live_answer({"score": float("nan")}, [[1.0, "low"]], 3, "live", MORNING.of(NIGHT))
    assert (answer["score"], answer["band"]) == (None, None)


def test_bands_split_scores_into_equal_shares_as_the_night_does():
    # Ranks 1/6 to 6/6, times three, rounded up: 1 1 2 2 3 3.
    tops = bands_of([0.6, 0.1, 0.2, 0.5, 0.3, 0.4], ("low", "medium", "high"))
    assert tops == ((0.2, "low"), (0.4, "medium"), (0.6, "high"))
    assert [band_of(score, tops) for score in (0.0, 0.2, 0.21, 0.4, 0.6, 0.7)] == [
        *("low", "low", "medium", "medium", "high", "high")
    ]
    assert bands_of([float("nan")], ("low", "high")) == ()
