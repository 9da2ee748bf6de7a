"""Examples of several moments, made in one pass: each is what the moment alone would give."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from capflow_assets.contract import Window
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.expressions.as_of import newest
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.example_weights import WEIGHT
from capflow_assets.learning.splits import moments
from capflow_assets.life.examples import ExampleReader
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.homes import EACH_KIND


class Reading:
    """A lake that remembers which tables were asked for."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.asked = lake, []

    def table(self, customer: str, table: str):
        self.asked.append(table)
        return self.lake.table(customer, table)

    def __getattr__(self, name):
        return getattr(self.lake, name)


@pytest.fixture(scope="module")
def place(acme, spark):
    deployed = deployment(STAGES, SOURCES, home=Home.of(acme.root), engine=Engine())
    lake = Lake(deployed.lake.root, lambda: spark)
    return deployed.customer("acme"), lake


def reader(place, model: str) -> ExampleReader:
    customer, lake = place
    return ExampleReader(Reading(lake), STAGES, customer, STAGES.model(model))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=EACH_KIND)
def examples(request, place):
    return reader(place, request.param)


@pytest.fixture(scope="module", params=[name for name in EACH_KIND if STAGES.model(name).events is None])
def of_horizons(request, place):
    """Of the models whose examples are of horizons counted back, and not of events."""
    return reader(place, request.param)


@pytest.fixture(scope="module", params=[name for name in EACH_KIND if STAGES.model(name).known is None])
def of_a_block(request, place):
    """Of the models whose subjects are the rows of a block."""
    return reader(place, request.param)


def ordered(examples: ExampleReader, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in one order: those of one subject come in any."""
    key = examples.key
    return rows.reset_index().sort_values([*key, *examples.spec.model.outcome.per]).set_index(key)


@pytest.fixture(scope="module")
def past(place):
    _, lake = place
    return moments(newest(lake.table("acme", "clean/bills")), 30, 5, "UTC")


def test_columns_of_many_moments_are_those_of_each(examples, past):
    together = examples.columns_at(past)
    for moment, frame in zip(past, together, strict=True):
        alone = examples.columns(moment)
        assert len(alone) > (100 if "user_id" in examples.key else 0)
        pd.testing.assert_frame_equal(frame, alone, check_exact=True)
    assert not examples.spec.model.columns or not together[0].equals(together[-1])


# Tables that acme does not send: models that need them are held to the same in ``models/test_contract.py``.
NOT_SENT = {"raw/media", "raw/reviews"}
OF_FRAMES = [
    name for name, spec in STAGES.models.items() if spec.model.frames and NOT_SENT.isdisjoint(spec.model.needs.tables)
]
# Campaigns and their coupons are few.
FEWEST_ROWS = {"raw/campaigns": 0, "raw/coupons": 0}


@pytest.mark.parametrize("model", OF_FRAMES)
def test_tables_of_many_moments_are_those_of_each(place, past, model):
    examples = reader(place, model)
    # What others answered, of which nothing need have been kept.
    optional = {reads.table for reads in examples.spec.model.frames if reads.optional and "predictions/" in reads.table}
    for moment, state in zip(past, examples.states(past), strict=True):
        for table, (alone,) in examples.state(moment).tables.items():
            (frame,) = state.tables[table]
            # Vectors cannot be sorted by; what they belong to can.
            names = [name for name in alone.columns if name != "embedding"]
            fewest = -1 if table in optional else FEWEST_ROWS.get(table, 20)
            assert len(alone) > fewest or table in STAGES.absent(place[0].tables)
            pd.testing.assert_frame_equal(
                frame.sort_values(names, ignore_index=True), alone.sort_values(names, ignore_index=True)
            )


def test_the_order_in_which_moments_are_asked_is_kept(examples, past):
    turned = examples.columns_at(past[::-1])
    for one, other in zip(examples.columns_at(past), turned[::-1], strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_outcomes_of_many_horizons_are_those_of_each(of_horizons, past):
    examples, outcome = of_horizons, of_horizons.spec.model.outcome
    horizon = timedelta(days=30)
    windows = [Window(moment, moment + horizon) for moment in past]
    users = [frame.index for frame in examples.columns_at(past)]
    together = examples.outcomes_in(windows, users)
    for window, index, frame in zip(windows, users, together, strict=True):
        (alone,) = examples.outcomes_in([window], [index])
        share = (alone[outcome.columns[0]] > 0).mean()
        assert 0 < share <= 1 if outcome.per else 0 < share < 1
        pd.testing.assert_frame_equal(ordered(examples, frame), ordered(examples, alone), check_exact=True)


def test_horizons_that_overlap_are_asked_one_by_one(of_horizons, past):
    examples = of_horizons
    windows = [Window(moment, moment + timedelta(days=45)) for moment in past]
    users = [frame.index for frame in examples.columns_at(past)]
    for window, index, frame in zip(windows, users, examples.outcomes_in(windows, users), strict=True):
        (alone,) = examples.outcomes_in([window], [index])
        pd.testing.assert_frame_equal(ordered(examples, frame), ordered(examples, alone), check_exact=True)


def test_the_bills_are_read_once_whatever_the_number_of_moments(of_a_block, past):
    examples = of_a_block

    def reads(number: int) -> int:
        examples.lake.asked.clear()
        examples.columns_at(past[:number])
        windows = [Window(moment, moment + timedelta(days=30)) for moment in past[:number]]
        examples.outcomes_in(windows, [pd.Index(["U0000001"], name="user_id")] * number)
        return examples.lake.asked.count("clean/bills")

    assert reads(5) == reads(2)


def test_an_outcome_that_mixes_the_horizons_up_is_asked_one_by_one(place, past):
    """An outcome that groups by user alone loses the moments; it must not be believed."""
    customer, lake = place

    def outcome(bills, start, end):
        from pyspark.sql import functions as F

        inside = bills.filter((F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end)))
        return inside.filter("user_id is not null").groupBy("user_id").agg(F.count(F.lit(1)).alias("bought"))

    spec = STAGES.model("purchase_propensity")
    spec = replace(spec, outcome=replace(spec.outcome, function=outcome))
    examples = ExampleReader(lake, STAGES, customer, spec)
    windows = [Window(moment, moment + timedelta(days=30)) for moment in past]
    users = [examples.columns(past[0]).index] * len(past)
    for window, frame in zip(windows, examples.outcomes_in(windows, users), strict=True):
        (alone,) = examples.outcomes_in([window], users[:1])
        pd.testing.assert_frame_equal(frame, alone, check_exact=True)


def test_columns_that_were_not_chosen_are_not_computed(place) -> None:
    """A version reads the columns that its training chose: blocks without any are left alone, the subjects stay."""
    everything = reader(place, "purchase_propensity")
    moment = newest(everything.lake.table("acme", "clean/bills"))
    few = replace(reader(place, "purchase_propensity"), chosen=("visits", "recency_days"))
    columns = few.columns(moment)
    assert "features/rfm" in few.lake.asked
    assert "features/rhythm" not in few.lake.asked
    pd.testing.assert_frame_equal(columns, everything.columns(moment)[list(few.columns_read)])
    of_rhythm = replace(everything, chosen=("gap_days_avg",)).columns(moment)
    pd.testing.assert_frame_equal(of_rhythm, everything.columns(moment)[["gap_days_avg"]])


def test_of_many_subjects_a_share_is_read_the_same_at_all_moments(place) -> None:
    """1,500 users at three moments are 4,500 examples; of at most 1,000 every fifth user is left, always the same."""
    everything = reader(place, "purchase_propensity")
    newest_bill = newest(everything.lake.table("acme", "clean/bills"))
    starts = sorted(moments(newest_bill, 30, 3, zone="UTC"))
    windows = [Window(start, start + timedelta(days=30)) for start in starts]
    whole = everything.with_outcomes(windows)
    some = everything.sampled(windows, 1000).with_outcomes(windows)
    assert 700 < sum(map(len, some)) < 1300
    for all_of_them, few in zip(whole, some, strict=True):
        users = few.columns.index
        pd.testing.assert_frame_equal(few.columns, all_of_them.columns.loc[users])
        assert few.outcomes is not None
        assert all_of_them.outcomes is not None
        pd.testing.assert_frame_equal(few.outcomes, all_of_them.outcomes.loc[users])
    assert set(some[0].columns.index) <= set(some[-1].columns.index)
    assert everything.sampled(windows, 1_000_000) is everything


def test_an_optional_table_that_the_customer_cannot_have_has_no_rows(place, past) -> None:
    first, last = (state.tables for state in reader(place, "similar_items").states(past[:2]))
    assert "media" not in place[0].tables
    for tables in (first, last):
        assert list(tables["features/item_pictures"][0].columns) == ["item_id", "embedding"]
        assert tables["features/item_pictures"][0].empty
        assert len(tables["features/text"][0]) > 0


def test_a_timeless_table_is_read_as_it_lies_for_any_moment(place, past) -> None:
    of_texts = reader(place, "similar_items")
    states = of_texts.states(past[:2])
    assert of_texts.lake.asked.count("features/text") == 1
    assert "clean/items" in of_texts.lake.asked
    kept = place[1].table("acme", "features/text").select("item_id", "embedding").toPandas()
    for state in states:
        read = state.tables["features/text"][0]
        frames = [frame.sort_values("item_id", ignore_index=True) for frame in (read, kept)]
        pd.testing.assert_frame_equal(*frames)


@pytest.fixture(scope="module")
def windows(past):
    return [Window(moment, moment + timedelta(days=10)) for moment in past]


@pytest.mark.parametrize("model", ["purchase_propensity", "winback"])
def test_rare_outcomes_are_all_kept_and_the_others_count_for_those_who_are_not_read(place, windows, model):
    """Held against all examples, moment by moment: every positive, a sample of the others, and sums that agree."""
    whole = reader(place, model)
    everybody = whole.with_outcomes(windows)
    label = whole.spec.model.outcome.columns[0]
    positives = sum(int((one.outcomes[label] > 0).sum()) for one in everybody)
    at_most = int(positives + (sum(map(len, everybody)) - positives) / 3)
    sampled = whole.sampled(windows, max(at_most, 2 * positives))
    parts = sampled.share.parts
    assert sampled.keeps_positives
    assert parts > 1
    for one, all_of_it in zip(sampled.with_outcomes(windows), everybody, strict=True):
        assert one.columns.index.equals(one.outcomes.index)
        is_positive, is_one = (frame[label] > 0 for frame in (one.outcomes, all_of_it.outcomes))
        assert set(one.outcomes.index[is_positive]) == set(all_of_it.outcomes.index[is_one])
        assert set(one.outcomes[WEIGHT][is_positive]) <= {1.0}
        assert set(one.outcomes[WEIGHT][~is_positive]) == {float(parts)}
        stray = 3 * parts * (len(all_of_it) / parts) ** 0.5
        assert one.outcomes[WEIGHT].sum() == pytest.approx(len(all_of_it), abs=stray)
        kept = all_of_it.columns.loc[one.columns.index]
        pd.testing.assert_frame_equal(one.columns, kept, check_exact=True)


def test_where_the_outcome_is_not_rare_everybody_is_drawn_alike(place, windows):
    examples = reader(place, "purchase_propensity")
    sampled = examples.sampled(windows, 400)
    assert sampled.share.parts > 1
    assert not sampled.keeps_positives
    assert all(WEIGHT not in one.outcomes for one in sampled.with_outcomes(windows))
