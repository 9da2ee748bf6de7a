"""The evidence that models need, beyond key figures: what is known of items, users, campaigns and outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Requirements, Table
from capflow_assets.expressions.campaign_groups import campaign_groups
from capflow_assets.expressions.days import QUARTER_DAYS, days_before, local_span
from capflow_assets.expressions.history import first_moment
from capflow_assets.expressions.known_at import is_known
from capflow_assets.expressions.micros import A_DAY, A_SECOND, micros_of, moment_of
from capflow_assets.learning.balance import balance
from capflow_assets.learning.measures import MEASURES
from capflow_assets.learning.outcomes import known_until
from capflow_assets.validation._coverage import item_coverage, launches, overlap, user_files
from capflow_assets.validation._labels import of_recordings, of_reviews

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="model (null: for all of them), measure and category (null: all together)",
    columns=(
        Column("model", "string", "The model whose outcome is counted; null for a measure that holds for all."),
        Column("measure", "string", "What is measured.", required=True),
        Column("category", "string", "The items' category; for rows, the table. Null: all together."),
        Column("value", "double", "The figure; null where there is nothing to compute it from."),
        Column("unit", "string", "What the value counts.", required=True),
        Column("as_of", "timestamp", "The moment up to which rows were read.", required=True),
    ),
    key=("model", "measure", "category"),
)

# Since when a row is true. The runner cuts most of them at the moment already; a campaign is known when it begins.
TIMES = {
    "clean/bills": "billed_at",
    "clean/line_items": "billed_at",
    "clean/users": "known_since",
    "raw/campaigns": "starts_at",
    "raw/messages": "sent_at",
    "raw/redemptions": "redeemed_at",
    "raw/reviews": "written_at",
    "raw/consents": "captured_at",
}
Figures = Iterator[tuple[str | None, str, str | None, float | None]]


def evidence(
    bills: DataFrame,
    as_of: datetime,
    zone: str,
    currency: str,
    needs: Mapping[str, Requirements],
    line_items: DataFrame | None = None,
    items: DataFrame | None = None,
    users: DataFrame | None = None,
    media: DataFrame | None = None,
    campaigns: DataFrame | None = None,
    coupons: DataFrame | None = None,
    messages: DataFrame | None = None,
    redemptions: DataFrame | None = None,
    stores: DataFrame | None = None,
    raw_reviews: DataFrame | None = None,
    consents: DataFrame | None = None,
) -> DataFrame:
    """What a customer has of each kind of evidence that a model may ask for, up to the as-of moment.

    **Grain**: one row per measure; those of items also by category (``no category`` where an item has none); those of
    outcomes by model. A table that the customer does not have gives no rows.

    **Bills**: ``rows`` of each table; ``history_days`` from the first bill of the history (a few days more than a year
    before all others do not count, see ``expressions.history``) to the newest, ``newest_bill_age_days``,
    ``users`` (known, on any bill), ``users_new_28d`` (first seen in the last 28 days), ``stores`` with a bill that is
    no return. Days are local ones, from a time of the day to the same time by the clock (``expressions.days``).

    **Items**: ``items`` and ``categories``, how many;
    ``attribute_fill_share`` of items whose description has three words or more (a word has a letter),
    ``description_words_avg`` of those that have a description; ``items_with_image_share``, ``items_with_audio_share``
    and the same of users: those to whom at least one file of raw/media is linked. ``new_items_91d`` are listed items
    that stand on a bill since 91 days and not before, ``unsold_items`` those on none.

    **Overlap**: ``user_item_cells`` are the distinct pairs of a known user and an item bought, and
    ``user_item_density_share`` their share in users × items; ``overlapping_items_share`` of items that two users or
    more bought, ``overlapping_users_share`` of users who bought two such items or more.

    **Campaigns**: ``campaigns`` begun, ``messages`` sent, ``controls`` held out, ``compared_campaigns`` that addressed
    and held out ten users or more (``expressions.campaign_groups``), ``redemptions``, ``redeeming_users``.

    **Reviews**: ``reviews_praising`` and ``reviews_complaining`` by their labels or stars (``learning.review_labels``).

    **Recordings**: ``recordings_labelled`` with an intent, ``intents_labelled`` that occur five times.

    **Outcomes**, by model, at its horizon: ``past_horizons`` that are over and have history before them (no more than
    the model's moments), ``users`` known at the newest of those moments, ``positives`` and ``negatives`` among them,
    ``positives_before`` a horizon earlier. Bills that stopped more than a day before the as-of moment end the newest
    horizon: silence is no outcome. Null where the label is made of a table that comes after validation.
    """
    from pyspark.sql import functions as F

    tables = {
        "clean/bills": bills,
        "clean/line_items": line_items,
        "clean/items": items,
        "clean/users": users,
        "raw/media": media,
        "raw/campaigns": campaigns,
        "raw/coupons": coupons,
        "raw/messages": messages,
        "raw/redemptions": redemptions,
        "raw/stores": stores,
        "raw/reviews": raw_reviews,
        "raw/consents": consents,
    }
    frames = {
        table: frame.filter(is_known(TIMES[table], as_of)) if frame is not None and table in TIMES else frame
        for table, frame in tables.items()
    }
    values = {"as_of": as_of, "zone": zone, "currency": currency}
    figures = _all(frames, values, as_of, needs)
    rows = [(model, measure, category, value, MEASURES[measure].unit) for model, measure, category, value in figures]
    schema = ", ".join(f"{column.name} {column.type}" for column in TABLE.columns[:-1])
    return bills.sparkSession.createDataFrame(rows, schema).withColumn("as_of", F.lit(as_of)).select(*TABLE.names)


def _all(
    frames: Mapping[str, DataFrame | None],
    values: Mapping[str, object],
    as_of: datetime,
    needs: Mapping[str, Requirements],
) -> Figures:
    bills = frames["clean/bills"]
    assert bills is not None  # noqa: S101  (the one input that is not optional)
    first, until, figures = _of_bills(bills, as_of, str(values["zone"]))
    yield from ((None, name, None, value) for name, value in figures.items())
    yield None, "stores", None, _stores(bills)
    yield from ((None, "rows", table, count) for table, count in _rows(frames).items())
    yield from ((None, name, None, value) for name, value in _of_campaigns(frames, str(values["zone"])).items())
    yield from ((None, name, None, value) for name, value in of_reviews(frames["raw/reviews"]).items())
    media = frames["raw/media"]
    labelled = {} if media is None else of_recordings(media.filter(is_known("modified_at", as_of)))
    yield from ((None, name, None, value) for name, value in labelled.items())
    yield from ((None, *row) for row in item_coverage(frames["clean/items"], frames["raw/media"]))
    yield from ((None, *row) for row in user_files(frames["clean/users"], frames["raw/media"]))
    yield from ((None, *row) for row in overlap(frames["clean/line_items"]))
    quarter_began = days_before(as_of, QUARTER_DAYS, str(values["zone"]))
    yield from ((None, *row) for row in launches(frames["clean/items"], frames["clean/line_items"], quarter_began))
    for model, requirements in needs.items():
        outcomes = balance(requirements, bills, frames, values, first, until)
        yield from ((model, name, None, value) for name, value in outcomes.items())


def _of_bills(
    bills: DataFrame, as_of: datetime, zone: str
) -> tuple[datetime | None, datetime | None, dict[str, float | None]]:
    from pyspark.sql import functions as F

    lately = micros_of(days_before(as_of, 28, zone))
    users = bills.groupBy("user_id").agg(
        F.unix_micros(F.min("billed_at")).alias("first"), F.unix_micros(F.max("billed_at")).alias("newest")
    )
    is_known = F.col("user_id").isNotNull()
    row = users.agg(
        F.max("newest"),
        F.count(F.when(is_known, 1)),
        F.count(F.when(is_known & (F.col("first") > lately), 1)),
    ).collect()[0]
    newest, known, new = row
    began = first_moment(bills)
    if began is None:
        return None, None, {"history_days": None, "newest_bill_age_days": None, "users": 0.0, "users_new_28d": 0.0}
    until = known_until(as_of.astimezone(UTC), moment_of(newest), zone)
    age = local_span(moment_of(newest), as_of, zone)
    figures: dict[str, float | None] = {
        "history_days": float(local_span(began, until, zone).days),
        "newest_bill_age_days": age.total_seconds() / (A_DAY // A_SECOND),
        "users": float(known),
        "users_new_28d": float(new),
    }
    return began, until, figures


def _stores(bills: DataFrame) -> float:
    from pyspark.sql import functions as F

    selling = bills.filter("amount >= 0").agg(F.count_distinct("store_id"))
    return float(selling.collect()[0][0])


def _rows(frames: Mapping[str, DataFrame | None]) -> dict[str, float]:
    """The rows of each table that is there, in one query."""
    from functools import reduce

    from pyspark.sql import functions as F

    counted = [
        frame.agg(F.lit(table).alias("table"), F.count(F.lit(1)).alias("rows"))
        for table, frame in frames.items()
        if frame is not None
    ]
    rows = reduce(lambda above, below: above.union(below), counted).collect()
    return {row["table"]: float(row["rows"]) for row in sorted(rows)}


def _of_campaigns(frames: Mapping[str, DataFrame | None], zone: str) -> dict[str, float]:
    from pyspark.sql import functions as F

    counts: dict[str, float] = {}
    campaigns, messages, redemptions = (frames[f"raw/{name}"] for name in ("campaigns", "messages", "redemptions"))
    if campaigns is not None:
        counts["campaigns"] = float(campaigns.agg(F.count_distinct("campaign_id")).collect()[0][0])
    if messages is not None:
        is_control = F.coalesce("is_control", F.lit(False))
        row = messages.agg(F.count(F.when(~is_control, 1)), F.count(F.when(is_control, 1))).collect()[0]
        counts |= {"messages": float(row[0]), "controls": float(row[1])}
    if campaigns is not None and messages is not None:
        groups = campaign_groups(messages, campaigns, zone)
        counts["compared_campaigns"] = float(groups.agg(F.count_distinct("campaign_id")).collect()[0][0])
    if redemptions is not None:
        row = redemptions.agg(F.count(F.lit(1)), F.count_distinct("user_id")).collect()[0]
        counts |= {"redemptions": float(row[0]), "redeeming_users": float(row[1])}
    return counts
