"""Nothing after the as-of moment is seen: the future is planted, moved and torn, and the past must not change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from capflow_assets.contract import Window
from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import STAGES
from capflow_assets.expressions.days import end_of_day
from capflow_assets.life.examples import ExampleReader
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.homes import ANY_BILL_NUMBERS, EACH_KIND, FEW_FEATURES, TestHome, all_of, small_budgets

ZONE = "America/New_York"
DAY = "2024-11-20"
MOMENT = end_of_day(date.fromisoformat(DAY), ZONE)
TIMES = {
    "bills": "billed_at",
    "line_items": "billed_at",
    "messages": "sent_at",
    "redemptions": "redeemed_at",
    "users": "joined_at",
    "reviews": "written_at",
}
DIALS = {"users": 250, "days": 420, "campaigns": 7, "redemption_pct": 50}
# Those of which this customer sends the tables.
LACKED = set(STAGES.absent(TIMES))
MODELS = [name for name in EACH_KIND if LACKED.isdisjoint(STAGES.model(name).model.needs.tables)]
BRAND = tiny("acme", seed=4, time_zone=ZONE, sends=tuple(TIMES)[:-1], **DIALS)
REVIEWS = """
[tables.reviews]
source = "csv"
location = "reviews.csv"
[tables.reviews.columns]
review_id = "review_id"
text = "text"
written_at = "written_at"
user_id = "user_id"
"""


# -- the whole way -----------------------------------------------------------------------------------------------------


def torn(folder: Path, seed: int) -> None:
    """Everything after the day is shuffled, a third of it deleted, a third of it multiplied; and more is made up."""
    for table, time in TIMES.items():
        file = folder / f"{table}.csv"
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        is_later = frame[time] > f"{DAY} 23:59:59"
        past, future = frame[~is_later], frame[is_later].sample(frac=2 / 3, random_state=seed)
        assert len(past) > 10, table
        assert len(future) > 10, table
        if "user_id" in future and table != "users":
            future["user_id"] = future["user_id"].sample(frac=1, random_state=seed).to_numpy()
        if "amount" in future:
            half = future.index[: len(future) // 2]
            future.loc[half, "amount"] = (future.loc[half, "amount"].astype(float) * -1e6).astype(str)
        made_up = future.head(10).assign(**{time: "2150-01-01 00:00:00"})
        for key in {"bill_id", "review_id"} & set(frame.columns):
            made_up[key] = "made-up-" + made_up[key]
        if table == "users":
            made_up["user_id"] = "made-up-" + made_up["user_id"]
        mixed = pd.concat([past, future, made_up]).sample(frac=1, random_state=seed)
        mixed.to_csv(file, index=False)


def reviewed(folder: Path, toml: Path) -> None:
    """Whoever buys writes of it: two words, which few others use at that time."""
    bills = pd.read_csv(folder / "bills.csv", dtype=str, keep_default_na=False)
    words = [f"{'abcdefgh'[number % 8] * 3} {'stuvwxyz'[number // 50 % 8] * 3}" for number in range(len(bills))]
    columns = {"review_id": "r" + bills["bill_id"], "text": words, "written_at": bills["billed_at"]}
    pd.DataFrame({**columns, "user_id": bills["user_id"]}).to_csv(folder / "reviews.csv", index=False)
    toml.write_text(toml.read_text() + REVIEWS)


def seen_from_the_past(root: Path, future: int | None) -> TestHome:
    home = TestHome(root / "home", has_pictures=False)
    settings = FEW_FEATURES | ANY_BILL_NUMBERS | small_budgets(*MODELS) | {"only_models": MODELS}
    toml = write(simulate(BRAND), root / "files", settings=settings)
    reviewed(root / "files", toml)
    if future is not None:
        torn(root / "files", future)
    home.ok("onboard", str(toml))
    home.ok("run", "acme", "--as-of", DAY, "--select", all_of(*MODELS))
    waiting = [model for model in MODELS if home.report("acme", model)["champion_version"] is None]
    for model in waiting:
        home.ok("promote", "acme", model)
    if waiting:
        home.ok("run", "acme", "--as-of", DAY, "--select", ",".join(f"predictions/{model}" for model in waiting))
    return home


@pytest.fixture(scope="module")
def two_futures(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestHome, TestHome]:
    """One past and two futures, both run as of the end of the past."""
    return tuple(seen_from_the_past(tmp_path_factory.mktemp("seen"), future) for future in (None, 7))  # type: ignore[return-value]


def text(home: TestHome, table: str) -> list[str]:
    return sorted(home.ok("show", table, "--customer", "acme", "--format", "csv").splitlines())


def test_the_futures_do_differ(two_futures):
    one, other = (text(home, "clean/bills") for home in two_futures)
    assert one != other
    later = [rows for rows in (one, other) if any("2150-01-01" in row for row in rows)]
    assert later == [other]


HAS = [key for key, spec in STAGES.tables.items() if spec.cut and key not in STAGES.absent(TIMES)]


def test_all_that_is_made_of_rows_with_times_is_there():
    """What this customer lacks is made of its catalogue alone, which has no time; or of media, which it does not send.

    The future of recordings is planted in ``features/test_contract.py``.
    """
    lacking = {key for key, spec in STAGES.tables.items() if spec.cut} - set(HAS)
    of_media = {"features/item_pictures", "features/call_sounds"}
    # Sales of categories, of which this customer's list of items says nothing.
    assert lacking == {"features/text", "features/demand_weeks"} | of_media


@pytest.mark.parametrize("table", HAS)
def test_no_table_as_of_a_moment_sees_the_future(two_futures, table):
    one, other = (text(home, table) for home in two_futures)
    # One row per need of each model is all that readiness has.
    assert len(one) > (4 * len(MODELS) if table == "validation/readiness" else 20)
    assert one == other


@pytest.mark.parametrize("model", MODELS)
def test_no_model_sees_the_future(two_futures, model):
    one, other = (home.report("acme", model) for home in two_futures)
    places = [(report.pop("artifacts"), report.pop("plots")) for report in (one, other)]
    assert places[0] != places[1]
    assert one["as_of"] == MOMENT.isoformat()
    assert one["parameters"]
    assert one == other
    # A row a user, or a row for each of 28 days of three stores; and the header.
    is_of_stores = STAGES.model(model).model.subject.key == ("store_id",)
    assert len(text(two_futures[0], f"predictions/{model}")) > (3 * 28 if is_of_stores else 150)
    assert text(two_futures[0], f"predictions/{model}") == text(two_futures[1], f"predictions/{model}")


def test_a_moment_later_sees_more(two_futures):
    """The comparison above can fail: with the torn future let in, the same figures differ."""
    home = two_futures[1]
    root = home.root.parent / "later"
    later = home.copied(root)
    later.ok("run", "acme", "--select", "features/rfm", "--as-of", "2024-12-31")
    before, after = (
        {row["user_id"]: row["bills"] for row in variant.rows("features/rfm", "acme")} for variant in (home, later)
    )
    assert after != before


# -- outcomes ----------------------------------------------------------------------------------------------------------

CUSTOMER = Customer.model_validate(
    {
        "name": "acme",
        "vertical": "x",
        "currency": "EUR",
        "time_zone": "UTC",
        "tables": {"bills": {"source": "csv", "location": "/none.csv", "columns": {"user_id": "u"}}},
    }
)
HORIZON = (datetime(2024, 8, 1, 4, tzinfo=UTC), datetime(2024, 9, 1, 4, tzinfo=UTC))
# In the other one nobody is addressed.
OWN_HORIZONS = {"channel_affinity": (datetime(2024, 9, 1, 4, tzinfo=UTC), datetime(2024, 10, 1, 4, tzinfo=UTC))}


# What came of users is that nothing came; and what hardly ever comes.
SILENCE, RARE = {"churn"}, {"bill_anomaly"}
# What comes of them adds to what was spent before the horizon, which was known then.
LOOK_BACK = {"spend_tier_upgrade"}
# What is said of a review is said with it: the newest that are known are judged by, and no horizon is looked at.
OF_THE_PAST = {"review_sentiment"}
OF_HORIZONS = [
    name
    for name, spec in STAGES.models.items()
    if name not in OF_THE_PAST
    and spec.events is None
    and LACKED.isdisjoint(source.table for source in spec.outcome.inputs)
]


@pytest.mark.parametrize("model", OF_HORIZONS)
def test_outcomes_look_at_the_horizon_and_nowhere_else(two_futures, tmp_path, spark, model):
    from pyspark.sql import functions as F

    start, end = OWN_HORIZONS.get(model, HORIZON)
    here = Lake(str(two_futures[0].root / "lake"), lambda: spark)
    spec, customer = STAGES.models[model], CUSTOMER.model_copy(update={"time_zone": ZONE})
    (key,), declared = spec.model.subject.key, spec.model.outcome
    places = here.arrow("acme", "clean/line_items" if key == "item_id" else "clean/bills")[key]
    subjects = pd.Index(sorted(set(places.drop_null().to_pylist())), name=key)

    def outcomes(lake: Lake) -> pd.DataFrame:
        (rows,) = ExampleReader(lake, STAGES, customer, spec).outcomes_in([Window(start, end)], [subjects])
        return rows.reset_index().sort_values([key, *declared.per]).set_index(key)

    def changed(name: str, change: Any) -> pd.DataFrame:
        """The outcomes where every table that they read was changed first."""
        lake = Lake(str(tmp_path / name), lambda: spark)
        for source in spec.outcome.inputs:
            at = F.col(STAGES.tables[source.table].table.time)
            is_inside = (at > F.lit(start)) & (at <= F.lit(end))
            is_known = (at <= F.lit(start)) & F.lit(model in LOOK_BACK)
            lake.write(change(here.table("acme", source.table), is_inside, is_known), "acme", source.table)
        return outcomes(lake)

    truth = outcomes(here)
    share = (truth[declared.columns[0]] > 0).mean()
    assert 0 < share <= 1 if declared.per else 0 < share < 1 or model in RARE

    def absurd_outside(rows: Any, inside: Any, known: Any) -> Any:
        if "amount" not in rows.columns:
            return rows.filter(inside | known)
        return rows.withColumn("amount", F.when(inside | known, F.col("amount")).otherwise(F.lit(1e6)))

    outside = changed("outside", absurd_outside)
    pd.testing.assert_frame_equal(outside, truth)
    inside = changed("inside", lambda rows, inside, known: rows.filter(~inside))
    if model in SILENCE:
        assert (inside[list(declared.columns)] >= truth[list(declared.columns)]).all(axis=None)
        assert inside[declared.columns[0]].sum() > truth[declared.columns[0]].sum()
        return
    # Who has no row did nothing, or nothing is known of it.
    assert (inside[list(declared.columns)].fillna(0) == 0).all(axis=None), (
        "what happens in the horizon is what the outcome tells"
    )
