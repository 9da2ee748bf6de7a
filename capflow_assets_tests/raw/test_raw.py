from __future__ import annotations

import importlib
import pkgutil

import pytest

from capflow_assets import raw
from capflow_assets.contract import Table

NAMES = sorted(info.name for info in pkgutil.iter_modules(raw.__path__))


def table(name: str) -> Table:
    return importlib.import_module(f"capflow_assets.raw.{name}").TABLE


def test_the_canonical_tables() -> None:
    assert NAMES == [
        "bills",
        "campaigns",
        "consents",
        "coupons",
        "items",
        "line_items",
        "media",
        "messages",
        "redemptions",
        "reviews",
        "stores",
        "users",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_person_can_read_it(name: str) -> None:
    module = importlib.import_module(f"capflow_assets.raw.{name}")
    assert "one row per" in (module.__doc__ or "") or "one row each" in (module.__doc__ or "")
    for column in table(name).columns:
        assert column.description.endswith("."), column.name


@pytest.mark.parametrize("name", NAMES)
def test_key_and_time_are_columns(name: str) -> None:
    given = table(name)
    assert set(given.key) <= set(given.names)
    assert all(given.column(key).required for key in given.key)
    assert given.time is None or given.column(given.time).type == "timestamp"
    assert len(set(given.names)) == len(given.names)


@pytest.mark.parametrize("name", NAMES)
def test_users_are_marked_personal(name: str) -> None:
    given = table(name)
    assert [column.name for column in given.columns if column.personal] == ["user_id"] * ("user_id" in given.names)


@pytest.mark.parametrize("name", NAMES)
def test_types_are_sparks(spark: object, name: str) -> None:
    from capflow_assets_doubles.engines import frame_of

    given = table(name)
    frame = frame_of(spark, given, [])  # type: ignore[arg-type]
    assert frame.dtypes == [(column.name, column.type) for column in given.columns]


def test_the_same_column_has_the_same_type_everywhere() -> None:
    types: dict[str, set[str]] = {}
    for name in NAMES:
        for column in table(name).columns:
            types.setdefault(column.name, set()).add(column.type)
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}
