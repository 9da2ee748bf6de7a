"""What a TOML may say of landing a table: its columns, its bills' key, by what newer rows replace, what is personal.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from capflow_assets.contract import EXPORT, Table
from capflow_assets.customers.toml_problems import unknown
from capflow_assets.errors import CapflowError, listed, nearest, shortened
from capflow_assets.expressions.ids import normal
from capflow_assets.landing import bill_keys
from capflow_assets.landing.keys import generated_key, merge_key
from capflow_assets.landing.personal import OWNER, is_identifier
from capflow_assets.landing.rejections import RESERVED

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


def column_problems(key: str, table: Table, declared: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with the names of a table's mapped columns; ``key`` is their place in the TOML."""
    problems: list[CapflowError] = []
    columns, bill_key = declared["columns"], declared.get("bill_key", [])
    for name in columns:
        if name in table.names:
            continue
        if not table.open:
            problems.append(unknown(f"{key}.{name}", "column", name, table.names))
        elif not IDENTIFIER.fullmatch(name) or name in (*RESERVED, EXPORT):
            expected = f"a name such as loyalty_tier ({IDENTIFIER.pattern}), none of {', '.join((*RESERVED, EXPORT))}"
            problems.append(CapflowError(f"{key}.{name}", expected=expected, came=name, do="choose another name"))
    is_made = isinstance(bill_key, list) and bill_keys.makes_bill(table, [str(part) for part in bill_key])
    generated = {generated_key(table), bill_keys.BILL if is_made else None}
    lacking = [column for column in table.columns if column.required and column.name not in {*generated, *columns}]
    for column in lacking:
        expected = f"a source column or expression: {column.description or column.type}"
        problems.append(CapflowError(f"{key}.{column.name}", expected=expected, came="nothing", do="map it"))
    return problems


def problems_between(tables: Mapping[str, Mapping[str, Any]], known: Mapping[str, Table]) -> list[CapflowError]:
    """What is wrong with tables beside each other: keys of bills that never meet, and amounts that nothing tells."""
    problems = bill_keys.between(tables)
    columns = tables.get("bills", {}).get("columns")
    is_left_open = "bills" in known and not known["bills"].column("amount").required
    if is_left_open and isinstance(columns, dict) and "amount" not in columns and "line_items" not in tables:
        expected = "a source column or expression: what was paid; or [tables.line_items], whose amounts are summed"
        problems.append(CapflowError("tables.bills.columns.amount", expected=expected, came="nothing", do="map it"))
    return problems


def _words(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _no_blanks(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(normal, words)):
        raise ValueError("ids as they stand in the source; what is blank is no user anyway")
    return words


NotUsers = Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_no_blanks)]


def landing_problems(key: str, table: Table, declared: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with a table's ``merge_on``, ``personal`` and ``plain``; ``key`` is its place in the TOML.

    Values of other types than lists have their problem told already.
    """
    problems: list[CapflowError] = []
    lists = {name: declared.get(name, []) for name in ("merge_on", "personal", "plain")}
    if not all(isinstance(value, list) for value in lists.values()):
        return problems
    for name, columns in lists.items():
        available = {*declared["columns"], *_made_of_parts(declared)}
        unmapped = [column for column in columns if column not in available]
        problems += [_unmapped(f"{key}.{name}", str(column), declared["columns"]) for column in unmapped]
    problems += bill_keys.problems(key, table, declared)
    problems += _merge_problems(key, table, declared)
    for column in lists["personal"]:
        canonical = next((known for known in table.columns if known.name == column), None)
        is_key = is_identifier(table, str(column)) and column != OWNER
        if is_key or (canonical is not None and canonical.type != "string"):
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


def _merge_problems(key: str, table: Table, declared: Mapping[str, Any]) -> list[CapflowError]:
    merge_on = declared.get("merge_on", [])
    if "watermark" not in declared:
        do = "add watermark, or take it out"
        return (
            [CapflowError(f"{key}.merge_on", expected="a watermark beside it", came="none", do=do)] if merge_on else []
        )
    columns = merge_key(table, merge_on)
    if not columns:
        expected = "the columns that tell one row from the others: the table has no key of its own"
        do = 'such as merge_on = ["bill_id", "item_id"]'
        return [CapflowError(f"{key}.merge_on", expected=expected, came="nothing", do=do)]
    available = {*declared["columns"], *_made_of_parts(declared)}
    unmapped = [] if merge_on else [column for column in columns if column not in available]
    return [
        CapflowError(
            f"{key}.merge_on",
            expected=f"{column} to be mapped, by which newer rows replace those that have landed",
            came="an id that landing makes" if column == generated_key(table) else "nothing",
            do="map it, or name other columns in merge_on",
        )
        for column in unmapped
    ]


def _made_of_parts(declared: Mapping[str, Any]) -> tuple[str, ...]:
    return (bill_keys.BILL,) if declared.get("bill_key") else ()


def _unmapped(key: str, column: str, mapped: Collection[str]) -> CapflowError:
    near = nearest(column, mapped)
    do = f"did you mean {near!r}?" if near else "map it, or take it out"
    return CapflowError(key, expected=f"mapped columns: {listed(mapped)}", came=repr(shortened(column)), do=do)
