"""Each measure of evidence, counted by hand, and equal on both engines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.contract import Needs, Requirements
from capflow_assets.definitions import STAGES
from capflow_assets.learning.measures import MEASURES
from capflow_assets.models.purchase_propensity import outcome
from capflow_assets.validation.evidence import TABLE, TIMES, evidence
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def table(spark: SparkSession, name: str, rows: Iterable[dict[str, Any]]) -> DataFrame:
    return frame_of(spark, STAGES.tables[name].table, rows)


def measured(frame: DataFrame) -> dict[tuple[str | None, str, str | None], float | None]:
    rows = frame.select("model", "measure", "category", "value").collect()
    figures = {(row["model"], row["measure"], row["category"]): row["value"] for row in rows}
    assert len(figures) == len(rows), "the key is unique"
    return figures


def together(frame: DataFrame) -> dict[str, float | None]:
    return {name: value for (model, name, category), value in measured(frame).items() if not (model or category)}


def evidence_of(
    bills: DataFrame, needs: dict[str, Requirements] | None = None, as_of: datetime = AS_OF, **tables: Any
) -> DataFrame:
    return evidence(bills, as_of, ZONE, "EUR", needs=needs or {}, **tables)


def test_of_bills_alone(spark: SparkSession) -> None:
    frame = evidence_of(bills_of(spark, SHOPPERS))
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    figures = measured(frame)
    # From 12:00 on 30 June 2023 in Madrid to 22:00 a year later; the newest bill is of 21:00.
    assert figures == {
        (None, "history_days", None): 366.0,
        (None, "newest_bill_age_days", None): pytest.approx(1 / 24),
        (None, "users", None): 4.0,
        (None, "users_new_28d", None): 3.0,
        (None, "stores", None): 0.0,
        (None, "rows", "clean/bills"): 11.0,
    }


def test_stores_are_those_with_a_purchase(spark: SparkSession) -> None:
    stores = (("a", 1.0), ("a", 2.0), ("b", 0.0), ("c", -1.0), (None, 1.0))
    rows = [bill("ana", "2024-06-03", amount) | {"store_id": store} for store, amount in stores]
    assert together(evidence_of(bills_of(spark, rows)))["stores"] == 2


def test_a_feed_that_stopped_ends_history(spark: SparkSession) -> None:
    figures = together(evidence_of(bills_of(spark, SHOPPERS), as_of=AS_OF + timedelta(days=20)))
    assert (figures["history_days"], figures["newest_bill_age_days"]) == (366.0, pytest.approx(20 + 1 / 24))


def test_days_are_local_ones(spark: SparkSession) -> None:
    """From 3 to 31 March clocks in Madrid went forward: 28 days by the calendar last an hour less."""
    rows = [bill("ana", "2024-03-03", 5.0), bill("bea", "2024-03-03", 5.0, time(13)), bill("ana", "2024-03-24", 5.0)]
    figures = together(evidence_of(bills_of(spark, rows), as_of=datetime(2024, 3, 31, 10, 30, tzinfo=UTC)))
    assert (figures["history_days"], figures["users_new_28d"]) == (21.0, 1.0)
    assert figures["newest_bill_age_days"] == 7 + 0.5 / 24
    figures = together(evidence_of(bills_of(spark, rows), as_of=datetime(2024, 3, 31, 10, tzinfo=UTC)))
    assert figures["newest_bill_age_days"] == 7.0
    whole = [bill("ana", "2024-03-03", 5.0), bill("ana", "2024-04-02", 5.0)]
    assert together(evidence_of(bills_of(spark, whole)))["history_days"] == 30.0


def test_no_bills_at_all(spark: SparkSession) -> None:
    figures = measured(evidence_of(bills_of(spark, ()), {"a": requirements(30)}))
    assert figures[None, "history_days", None] is None
    assert figures[None, "users", None] == 0
    assert figures["a", "past_horizons", None] == 0


ITEMS = (
    {"item_id": "i1", "category": "tea", "description": "green leaves of Uji"},
    {"item_id": "i2", "category": "tea", "description": "3 x 20\u00a0g"},
    {"item_id": "i3", "category": "tea", "description": "  Ñandú \t 100% té  verde "},
    {"item_id": "i4", "category": "cups", "description": "漢字 cup"},
    {"item_id": "i5", "category": None, "description": None},
)
MEDIA = (
    {"media_id": "a", "path": "/a", "kind": "image", "item_id": "i1"},
    {"media_id": "b", "path": "/b", "kind": "image", "item_id": " i1 "},
    {"media_id": "c", "path": "/c", "kind": "audio", "item_id": "i1"},
    {"media_id": "d", "path": "/d", "kind": "image", "item_id": "i4"},
    {"media_id": "e", "path": "/e", "kind": "text", "item_id": "i2"},
    {"media_id": "f", "path": "/f", "kind": "image", "item_id": "unheard"},
    {"media_id": "g", "path": "/g", "kind": "audio", "user_id": "ana"},
    {"media_id": "h", "path": "/h", "kind": "audio", "user_id": None},
)
USERS = (
    {"user_id": "ana", "known_since": None, "is_listed": True},
    {"user_id": "bea", "known_since": AS_OF, "is_listed": True},
    {"user_id": "eva", "known_since": AS_OF + timedelta(seconds=1), "is_listed": False},
)


def test_descriptions_by_category(spark: SparkSession) -> None:
    """Words have a letter: of "3 x 20 g" two, of the third three (Ñandú, té, verde), of the cup two."""
    figures = measured(evidence_of(bills_of(spark, ()), items=table(spark, "clean/items", ITEMS)))
    by_name = {(name, category): value for (_, name, category), value in figures.items()}
    assert by_name["items", None] == 5
    assert by_name["categories", None] == 2
    assert by_name["attribute_fill_share", None] == 2 / 5
    assert by_name["description_words_avg", None] == (4 + 2 + 3 + 2) / 4
    assert by_name["attribute_fill_share", "tea"] == 2 / 3
    assert by_name["description_words_avg", "tea"] == 3
    assert by_name["attribute_fill_share", "cups"] == 0
    assert (by_name["attribute_fill_share", "no category"], by_name["description_words_avg", "no category"]) == (
        0,
        None,
    )
    assert not [name for name, _ in by_name if "image" in name or "audio" in name]


def test_files_of_items_and_users(spark: SparkSession) -> None:
    figures = measured(
        evidence_of(
            bills_of(spark, ()),
            items=table(spark, "clean/items", ITEMS),
            users=table(spark, "clean/users", USERS),
            media=table(spark, "raw/media", MEDIA),
        )
    )
    assert figures[None, "items_with_image_share", None] == 2 / 5
    assert figures[None, "items_with_audio_share", None] == 1 / 5
    assert figures[None, "items_with_image_share", "tea"] == 1 / 3
    assert figures[None, "items_with_image_share", "no category"] == 0
    # Eva is not known yet.
    assert figures[None, "users_with_audio_share", None] == 1 / 2
    assert figures[None, "users_with_image_share", None] == 0


def line(user: str | None, item: str, is_return: bool = False, at: datetime = AS_OF) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "is_return": is_return, "billed_at": at}


def test_overlap(spark: SparkSession) -> None:
    """Pairs: ana a b c, bea a b, cem a, dan d. Two users share two items; of four items a and b have two buyers."""
    lines = [line("ana", "a"), line("ana", "a"), line("ana", "b"), line("ana", "c"), line("bea", "a"), line("bea", "b")]
    lines += [line("cem", "a"), line("dan", "d"), line("dan", "a", is_return=True), line(None, "d")]
    lines.append(line("dan", "b", at=AS_OF + timedelta(seconds=1)))
    figures = together(evidence_of(bills_of(spark, ()), line_items=table(spark, "clean/line_items", lines)))
    assert figures["user_item_cells"] == 7
    assert figures["user_item_density_share"] == 7 / 16
    assert figures["overlapping_users_share"] == 2 / 4
    assert figures["overlapping_items_share"] == 2 / 4
    none = together(evidence_of(bills_of(spark, ()), line_items=table(spark, "clean/line_items", ())))
    assert (none["user_item_cells"], none["user_item_density_share"]) == (0, None)


def test_new_items(spark: SparkSession) -> None:
    """Of five listed items one was first sold 91 days ago, one since, by nobody known; one will be, two were never."""
    quarter = AS_OF - timedelta(days=91)
    lines = [line("ana", "a", at=quarter), line("ana", "a"), line(None, "b", at=quarter + timedelta(seconds=1))]
    lines += [line("ana", "unlisted"), line("ana", "c", at=AS_OF + timedelta(seconds=1))]
    items = [{"item_id": item} for item in "abcde"]
    tables = {"items": table(spark, "clean/items", items), "line_items": table(spark, "clean/line_items", lines)}
    figures = together(evidence_of(bills_of(spark, ()), **tables))
    assert (figures["new_items_91d"], figures["unsold_items"]) == (1, 3)


def test_campaigns_and_redemptions(spark: SparkSession) -> None:
    later = AS_OF + timedelta(seconds=1)
    campaigns = [{"campaign_id": "c1", "starts_at": AS_OF}, {"campaign_id": "c2", "starts_at": later}]
    messages = [
        {"campaign_id": "c1", "user_id": "ana", "sent_at": AS_OF, "is_control": False},
        {"campaign_id": "c1", "user_id": "bea", "sent_at": None, "is_control": None},
        {"campaign_id": "c1", "user_id": "cem", "sent_at": AS_OF, "is_control": True},
        {"campaign_id": "c2", "user_id": "ana", "sent_at": later, "is_control": False},
    ]
    redemptions = [{"user_id": "ana", "coupon_id": coupon, "redeemed_at": AS_OF} for coupon in "xy"]
    redemptions.append({"user_id": "bea", "coupon_id": "x", "redeemed_at": later})
    figures = together(
        evidence_of(
            bills_of(spark, ()),
            campaigns=table(spark, "raw/campaigns", campaigns),
            messages=table(spark, "raw/messages", messages),
            redemptions=table(spark, "raw/redemptions", redemptions),
        )
    )
    assert [figures[name] for name in ("campaigns", "messages", "controls")] == [1, 2, 1]
    assert [figures[name] for name in ("redemptions", "redeeming_users")] == [2, 1]
    assert figures["compared_campaigns"] == 0


def test_campaigns_with_users_addressed_and_held_out(spark: SparkSession) -> None:
    campaigns = [{"campaign_id": name, "starts_at": AS_OF - timedelta(days=9)} for name in ("c1", "c2", "c3")]
    held_out = {"c1": range(10, 20), "c2": range(10, 19), "c3": range(0)}
    messages = [
        {"campaign_id": name, "user_id": f"u{number}", "sent_at": AS_OF, "is_control": number in held_out[name]}
        for name in held_out
        for number in range(20)
    ]
    tables = {"campaigns": table(spark, "raw/campaigns", campaigns), "messages": table(spark, "raw/messages", messages)}
    assert together(evidence_of(bills_of(spark, ()), **tables))["compared_campaigns"] == 1


def requirements(horizon_days: int, **more: Any) -> Requirements:
    given = {"outcome_tables": {"bills": "clean/bills"}, "injected": ("start", "end"), **more}
    return Requirements(Needs(()), horizon_days, 4, outcome=outcome, column="bought", **given)


# At 1 May and 31 May, 30 days apart, counted from noon of 30 June; the newest horizon holds ana and bea, the one
# before ana and cem. Dan is known at the newest moment and did nothing; eva comes too late to be known.
BUYERS = (
    bill("ana", "2024-03-01", 5.0),
    bill("bea", "2024-03-02", 5.0),
    bill("cem", "2024-04-02", 5.0),
    bill("ana", "2024-05-10", 5.0),
    bill("cem", "2024-05-11", 5.0),
    bill("dan", "2024-05-12", 5.0),
    bill("cem", "2024-06-02", -5.0),
    bill("ana", "2024-06-10", 5.0),
    bill("ana", "2024-06-11", 5.0),
    bill("bea", "2024-06-12", 5.0),
    bill("eva", "2024-06-12", 5.0),
    bill(None, "2024-06-30", 5.0),
)
NOON = datetime(2024, 6, 30, 10, tzinfo=UTC)


def of_model(frame: DataFrame) -> dict[str, float | None]:
    return {name: value for (model, name, _), value in measured(frame).items() if model == "a"}


def test_outcomes_at_the_newest_moments(spark: SparkSession) -> None:
    assert of_model(evidence_of(bills_of(spark, BUYERS), {"a": requirements(30)}, NOON)) == {
        "past_horizons": 3.0,
        "users": 4.0,
        "positives": 2.0,
        "negatives": 2.0,
        "positives_before": 2.0,
    }
    # Of 121 days, 60 are the horizon and 60 history; there is no moment before.
    figures = of_model(evidence_of(bills_of(spark, BUYERS), {"a": requirements(60)}, NOON))
    assert (figures["past_horizons"], figures["users"], figures["positives"]) == (1.0, 3.0, 3.0)
    assert figures["positives_before"] is None
    assert of_model(evidence_of(bills_of(spark, BUYERS), {"a": requirements(61)}, NOON)) == {"past_horizons": 0.0}


def test_silence_is_no_outcome(spark: SparkSession) -> None:
    """Ten days later without a bill, the newest horizon still ends with the newest bill."""
    later = of_model(evidence_of(bills_of(spark, BUYERS), {"a": requirements(30)}, NOON + timedelta(days=10)))
    assert later == of_model(evidence_of(bills_of(spark, BUYERS), {"a": requirements(30)}, NOON))


def test_an_outcome_of_tables_that_are_not_known_here_is_unknown(spark: SparkSession) -> None:
    unknown = requirements(30, outcome_tables={"rfm": "features/rfm"})
    figures = of_model(evidence_of(bills_of(spark, BUYERS), {"a": unknown}, NOON))
    assert (figures["past_horizons"], figures["positives"], figures["users"]) == (3.0, None, None)


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    needs = {"a": requirements(30)}
    known = rows_of(evidence_of(bills_of(spark, SHOPPERS), needs))
    assert rows_of(evidence_of(bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), needs)) == known


def test_every_measure_is_declared_and_every_time_is_that_of_its_table(spark: SparkSession) -> None:
    # A campaign is known when it begins; what users said of being written to is read whole at the door of deliveries.
    own = {"raw/campaigns": "starts_at", "raw/consents": "captured_at"}
    assert {name: STAGES.tables[name].table.time for name in TIMES} | own == TIMES
    tables = {name for measure in MEASURES.values() for name in measure.tables}
    assert tables <= {source.table for source in STAGES.tables["validation/evidence"].inputs}


@pytest.mark.timeout(180)
def test_outcomes_of_all_models_are_equal_on_both_engines(spark: SparkSession, jvm: SparkSession) -> None:
    needs = {name: spec.requirements() for name, spec in STAGES.models.items()}
    needs["a"] = requirements(30)
    sail, java = (rows_of(evidence_of(bills_of(engine, BUYERS), needs, NOON)) for engine in (spark, jvm))
    assert sail == java


def test_a_day_long_before_all_others_is_no_history(spark: SparkSession) -> None:
    """Fifty days of bills and one of 1999: fifty days of history, as without it."""
    shop = [bill("ana", str((AS_OF - timedelta(days=n)).date()), 1.0) for n in range(50)]
    figures = together(evidence_of(bills_of(spark, [*shop, bill("bob", "1999-01-01", 1.0)])))
    alone = together(evidence_of(bills_of(spark, shop)))
    assert figures["history_days"] == alone["history_days"] == 49.0
    assert figures["users"] == 2.0
