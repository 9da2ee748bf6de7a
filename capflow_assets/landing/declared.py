"""What a TOML may say of landing a table: by which columns newer rows replace, and which are personal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from capflow_assets.contract import Table
from capflow_assets.errors import CapflowError, listed, nearest, shortened
from capflow_assets.landing import generated_key, merge_key
from capflow_assets.landing.personal import OWNER, is_identifier


def landing_problems(key: str, table: Table, given: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with a table's ``merge_on``, ``personal`` and ``plain``; ``key`` is its place in the TOML.

    Values of other types than lists have their problem told already.
    """
    problems: list[CapflowError] = []
    lists = {name: given.get(name, []) for name in ("merge_on", "personal", "plain")}
    if not all(isinstance(value, list) for value in lists.values()):
        return problems
    for name, columns in lists.items():
        unmapped = [column for column in columns if column not in given["columns"]]
        problems += [_unmapped(f"{key}.{name}", str(each), given["columns"]) for each in unmapped]
    problems += _merge_problems(key, table, given)
    for column in lists["personal"]:
        declared = next((each for each in table.columns if each.name == column), None)
        is_key = is_identifier(table, str(column)) and column != OWNER
        if is_key or (declared is not None and declared.type != "string"):
            expected = "user_id, or columns of text that join no tables; capflow forget removes the rows of a user"
            problems.append(CapflowError(f"{key}.personal", expected=expected, came=repr(column), do="take it out"))
        if column in lists["plain"]:
            problems.append(CapflowError(f"{key}.plain", expected="none of personal", came=repr(column)))
    return problems


def user_problems(tables: Mapping[str, Mapping[str, Any]]) -> list[CapflowError]:
    """Where ``user_id`` is hashed in one table and not in another: no user of the one would be known in the other."""
    mapping = [
        name for name, table in tables.items() if isinstance(table.get("columns"), dict) and OWNER in table["columns"]
    ]
    lists = {name: tables[name].get("personal", []) for name in mapping}
    hashing = [name for name, columns in lists.items() if isinstance(columns, list) and OWNER in columns]
    return [
        CapflowError(
            f"tables.{name}.personal",
            expected=f"{OWNER} in it, as in {listed(hashing)}: else no user here is one of there",
            came=repr(lists[name]) if lists[name] else "nothing",
            do=f'add personal = ["{OWNER}"] to every table that maps {OWNER}, or take it out of all',
        )
        for name in mapping
        if hashing and name not in hashing
    ]


def _merge_problems(key: str, table: Table, given: Mapping[str, Any]) -> list[CapflowError]:
    merge_on = given.get("merge_on", [])
    if "watermark" not in given:
        do = "add watermark, or take it out"
        return (
            [CapflowError(f"{key}.merge_on", expected="a watermark beside it", came="none", do=do)] if merge_on else []
        )
    columns = merge_key(table, merge_on)
    if not columns:
        expected = "the columns that tell one row from the others: the table has no key of its own"
        do = 'such as merge_on = ["bill_id", "item_id"]'
        return [CapflowError(f"{key}.merge_on", expected=expected, came="nothing", do=do)]
    unmapped = [] if merge_on else [column for column in columns if column not in given["columns"]]
    return [
        CapflowError(
            f"{key}.merge_on",
            expected=f"{column} to be mapped, by which newer rows replace those that have landed",
            came="an id that landing makes" if column == generated_key(table) else "nothing",
            do="map it, or name other columns in merge_on",
        )
        for column in unmapped
    ]


def _unmapped(key: str, column: str, mapped: Collection[str]) -> CapflowError:
    near = nearest(column, mapped)
    do = f"did you mean {near!r}?" if near else "map it, or take it out"
    return CapflowError(key, expected=f"mapped columns: {listed(mapped)}", came=repr(shortened(column)), do=do)
