"""A Delta log, a checkpoint or a Parquet file that names another customer's file opens nothing of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from capflow_assets_tests.neighbours import (
    FRAME,
    Neighbours,
    manifest,
    refused,
)


@pytest.fixture
def hers(both: Neighbours) -> Path:
    """A Parquet file of ann's with the canary in it, of a Delta table."""
    place = both.ann / "delta"
    if not place.exists():
        write_deltalake(str(place), pa.table(FRAME))
    return next(place.glob("*.parquet"))


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "../../ann/delta/{name}", "%2e%2e/%2e%2e/ann/delta/{name}", "link.parquet"]
)
def test_a_delta_log_that_names_anothers_file_is_refused(both: Neighbours, hers: Path, form: str) -> None:
    table = both.spy / "bills"
    write_deltalake(str(table), pa.table(FRAME | {"user_id": ["spys-own"]}))
    manifest(table, form.format(hers, name=hers.name))
    (table / "link.parquet").symlink_to(hers)
    assert "may not read" in refused(both, "bills", "delta")


def test_a_checkpoint_that_names_anothers_file_is_refused(both: Neighbours, hers: Path) -> None:
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    table = both.spy / "bills"
    write_deltalake(str(table), pa.table(FRAME | {"user_id": ["spys-own"]}))
    DeltaTable(str(table)).create_checkpoint()
    (log,) = (table / "_delta_log").glob("*.checkpoint.parquet")
    actions = pq.read_table(log)
    rows = actions.to_pylist()
    for row in rows:
        if row["add"]:
            row["add"]["path"] = str(hers)
    pq.write_table(pa.Table.from_pylist(rows, schema=actions.schema), log)
    assert "may not read" in refused(both, "bills", "delta")


def test_a_customers_own_delta_table_lands(both: Neighbours) -> None:
    write_deltalake(str(both.spy / "bills"), pa.table(FRAME | {"user_id": ["spys-own"]}))
    assert both.onboard("bills", "delta") == ""
    assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_parquet_that_the_engine_reads_is_judged_too(both: Neighbours, hers: Path) -> None:
    (both.spy / "day=1").mkdir()
    (both.spy / "day=1" / "a.parquet").symlink_to(hers)
    (both.spy / "b.parquet").symlink_to(hers)
    assert "may not read" in refused(both, "day=1/*.parquet", "parquet")
    assert "may not read" in refused(both, "b.parquet", "parquet")
    (both.spy / "b.parquet").unlink()
    (both.spy / "bills.csv").unlink()
    assert "may not read" in refused(both, str(both.spy), "parquet")
