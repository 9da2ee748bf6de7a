"""A batch with too many bad rows changes nothing, and whatever lands in between, the last state counts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capflow_assets.stores.fingerprints import Fingerprint, fingerprint
from capflow_assets.stores.last_landing import read_landed
from capflow_assets_doubles.landings import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
from capflow_assets_tests.tables.incremental_bills import NAMES, NEWER, amounts, bill


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


def test_a_batch_of_too_many_bad_rows_changes_nothing_and_comes_again(shop: Shop) -> None:
    how = NEWER | {"max_rejected_pct": 40}
    shop.sends("bills", NAMES, [bill(1, 1, 1)])
    shop.landed("bills", **how)
    shop.sends("bills", NAMES, [bill(2, "x", 2), bill(3, 3, 3)])
    refused = shop.lands("bills", **how)
    assert refused.status == "failed"
    assert "1 of 2 rows of bills were rejected (50.0 %)" in refused.reason
    assert "bills.csv:2: amount: 'x' is not a double" in refused.reason
    assert amounts(shop) == {"1": 1}
    shop.sends("bills", NAMES, [bill(2, 2, 2), bill(3, 3, 3)])
    assert shop.landed("bills", **how).how == "rows since 1.000000000"
    assert amounts(shop) == {"1": 1, "2": 2, "3": 3}
    assert shop.rows("raw/bills_rejected") == []


def test_a_rejected_row_stays_in_quarantine_until_it_is_corrected(shop: Shop) -> None:
    shop.sends("bills", NAMES, [bill(1, "x", 1), bill(2, 2, 2), bill("", 3, 2)])
    shop.landed("bills", **NEWER)
    shop.sends("bills", NAMES, [bill(3, 3, 3), bill(4, "y", 3)])
    shop.landed("bills", **NEWER)
    reasons = [row["rejected_because"] for row in shop.rows("raw/bills_rejected")]
    assert reasons == ["amount: 'x' is not a double", "amount: 'y' is not a double", "bill_id is empty"]
    shop.sends("bills", NAMES, [bill(1, 1, 4), bill(3, "z", 5)])
    shop.landed("bills", **NEWER)
    # A landed row that is sent again as a bad one is no longer good.
    assert amounts(shop) == {"1": 1, "2": 2}
    reasons = [row["rejected_because"] for row in shop.rows("raw/bills_rejected")]
    assert reasons == ["amount: 'y' is not a double", "amount: 'z' is not a double", "bill_id is empty"]


STEPS = st.lists(
    st.dictionaries(
        keys=st.integers(0, 6), values=st.sampled_from([1, 2, 3, "x"]), max_size=4
    ),
    min_size=1,
    max_size=5,
)  # fmt: skip


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, repeats=st.booleans())
def test_any_sequence_of_landings_is_one_landing_of_the_last_state(
    steps: list[dict[int, object]], repeats: bool, tmp_path: Path, spark: SparkSession
) -> None:
    """Rows are added, corrected, spoilt and mended; some come in the second of the last landing, and old ones again."""
    folders = [tmp_path / "one", tmp_path / "many"]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    one, many = (Shop(folder, spark) for folder in folders)
    state: dict[int, tuple[object, ...]] = {99: bill(99, 9, 0)}
    log = [state[99]]
    for number, step in enumerate(steps):
        changed = {key: bill(key, value, (number + 1) // 2) for key, value in step.items()}
        # A source that keeps one row a bill, or one that appends every change.
        fresh = [row for key, row in changed.items() if state.get(key) != row and _is_newer(state.get(key), row)]
        log += fresh
        state |= {int(str(row[0])): row for row in fresh}
        many.sends("bills", NAMES, log if repeats else state.values())
        many.landed("bills", **NEWER)
        if not number:  # all of it once more, which hashes what lies there
            many.landed("bills", full=True, **NEWER)
    one.sends("bills", NAMES, log if repeats else state.values())
    one.landed("bills", **NEWER)
    assert many.rows("raw/bills") == one.rows("raw/bills")
    rejected = [
        sorted((row["rejected_because"], row["source_row"]) for row in shop.rows("raw/bills_rejected"))
        for shop in (many, one)
    ]
    assert rejected[0] == rejected[1]
    many_landed, one_landed = (read_landed(shop.lake, "shop", "bills") for shop in (many, one))
    assert many_landed is not None
    assert one_landed is not None
    assert many_landed.watermark == one_landed.watermark
    assert many_landed.fingerprint == fingerprint(many.lake.table("shop", "raw/bills"))
    assert one_landed.fingerprint == Fingerprint(len(one.rows("raw/bills")))


def _is_newer(before: tuple[object, ...] | None, row: tuple[object, ...]) -> bool:
    return before is None or int(str(row[4])) > int(str(before[4]))
