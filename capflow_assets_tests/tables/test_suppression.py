"""The list of those who were forgotten: their rows and their bills do not land again."""

from __future__ import annotations

import pytest

from capflow_assets.errors import GraphError
from capflow_assets.stores.lake import Lake
from capflow_assets.tables.suppression import digest, forgotten, remember, rows_of_forgotten, without_forgotten
from capflow_assets_tests.erasure.shops import holding


def test_rows_of_forgotten_users_and_their_bills_are_left_out(spark, tmp_path):
    lake, key = Lake(str(tmp_path), lambda: spark), b"k" * 32
    rows = [("b1", "ann"), ("b2", " ann "), ("b3", "bob"), ("b1", None), ("b4", None), (None, "ann"), ("b1", " ")]
    both = [("b5", "ann"), ("b5", "bob"), ("b5", None)]
    frame = spark.createDataFrame([*rows, *both], "bill_id string, user_id string")
    assert without_forgotten(lake, "shop", frame, key).count() == 10
    remember(lake, "shop", "user", [digest(key, "user", "ann")])
    left = {tuple(row) for row in without_forgotten(lake, "shop", frame, key).collect()}
    assert left == {("b3", "bob"), ("b4", None), ("b5", "bob"), ("b5", None)}
    assert rows_of_forgotten(lake, "shop", frame, key) == 10 - len(left)
    assert rows_of_forgotten(lake, "shop", frame.select("user_id"), key) == 4
    suppressed = forgotten(lake, "shop")
    assert suppressed is not None
    assert suppressed.bills == {digest(key, "bill", "b1"), digest(key, "bill", "b2")}
    assert suppressed.shared == {digest(key, "bill", "b5")}
    assert holding(tmp_path, "ann") == []
    with pytest.raises(GraphError, match="without a key"):
        without_forgotten(lake, "shop", frame, b"")
    assert remember(lake, "shop", "user", [digest(key, "user", "ann")]) == 0


def test_another_customers_key_makes_other_digests():
    assert digest(b"a" * 32, "user", "ann") != digest(b"b" * 32, "user", "ann")
    assert "ann" not in digest(b"a" * 32, "user", "ann")
