from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.clean.users import TABLE, users
from capflow_assets.errors import TableError
from capflow_assets.raw.users import TABLE as RAW
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MAY = datetime(2024, 5, 1, tzinfo=UTC)
JUNE = datetime(2024, 6, 1, tzinfo=UTC)
JULY = datetime(2024, 7, 1, tzinfo=UTC)
COLUMNS = ("user_id", "known_since", "is_listed", "city", "removed_because")


def test_listed_users_and_users_of_bills_each_once(spark: SparkSession) -> None:
    listed = [
        {"user_id": "ana", "joined_at": JUNE, "city": "Oslo"},
        {"user_id": "ana", "joined_at": JUNE},
        {"user_id": "bea", "city": "Graz"},
        {"user_id": None},
    ]
    seen = [("ana", MAY), ("bea", JUNE), ("cem", JULY), ("cem", JUNE), (None, MAY)]
    bills = frame_of(spark, BILLS, [{"bill_id": str(n), "user_id": u, "billed_at": t} for n, (u, t) in enumerate(seen)])
    table = users(frame_of(spark, RAW, listed, "city string"), bills)
    assert table.columns == [*TABLE.names, "city", "removed_because"]
    assert rows_of(table, *COLUMNS) == [
        ("ana", "2024-06-01 00:00:00", True, "Oslo", None),
        ("ana", "2024-06-01 00:00:00", True, None, "conflicting_duplicate"),
        ("bea", None, True, "Graz", None),
        ("cem", "2024-06-01 00:00:00", False, None, None),
        (None, None, True, None, "no_user_id"),
    ]


def test_one_of_the_two_is_enough(spark: SparkSession) -> None:
    bills = frame_of(spark, BILLS, [{"bill_id": "b1", "user_id": "ana", "billed_at": MAY}])
    listed = frame_of(spark, RAW, [{"user_id": "bea", "joined_at": JUNE}])
    assert rows_of(users(None, bills)) == [("ana", None, "2024-05-01 00:00:00", False, None)]
    assert rows_of(users(listed)) == [("bea", "2024-06-01 00:00:00", "2024-06-01 00:00:00", True, None)]
    with pytest.raises(TableError, match="raw/users or clean/bills"):
        users()


def test_no_rows(spark: SparkSession) -> None:
    table = users(frame_of(spark, RAW, []), frame_of(spark, BILLS, []))
    assert rows_of(table) == []
    assert dict(table.dtypes).items() >= {column.name: column.type for column in TABLE.columns}.items()
