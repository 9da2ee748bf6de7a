"""Whether two homes hold the same tables, row for row, in whatever order: ``python -m bench.compare_homes A B``.

For a change that must not move a figure: run the same customers into a home before it and into another after it, as
often and with the same options. Every Delta table below ``lake/`` of either home is compared by its newest version:
columns, types, and rows as a bag, to the digit. A line is printed for each table that differs, and the exit status is
1 if any does.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG = "_delta_log"
SHOWN_ROWS = 3


def tables_of(home: Path) -> set[str]:
    """The tables of all customers, as ``customer/stage/table``."""
    lake = home / "lake"
    return {str(log.parent.relative_to(lake)) for log in lake.rglob(LOG) if "_staging" not in str(log)}


def differences(first: Path, second: Path) -> Iterator[str]:
    """A line for each table that is not the same in both homes."""
    in_first, in_second = tables_of(first), tables_of(second)
    for table in sorted(in_first | in_second):
        if table not in in_first or table not in in_second:
            yield f"{table}: only in {first if table in in_first else second}"
        elif words := difference(first / "lake" / table, second / "lake" / table):
            yield f"{table}: {words}"


def difference(first: Path, second: Path) -> str:
    """In what two tables differ; empty where they hold the same rows."""
    types, rows = zip(*(_content(place) for place in (first, second)), strict=True)
    if types[0] != types[1]:
        return f"columns {sorted(set(types[0].items()) ^ set(types[1].items()))}"
    if rows[0] == rows[1]:
        return ""
    only = [rows[0] - rows[1], rows[1] - rows[0]]
    counts = f"{only[0].total()} of {rows[0].total()} rows only in the first, {only[1].total()} only in the second"
    return f"{counts}: {[[*part][:SHOWN_ROWS] for part in only]}"


def _content(place: Path) -> tuple[dict[str, str], Counter[tuple[Any, ...]]]:
    from deltalake import DeltaTable

    table = DeltaTable(str(place)).to_pyarrow_table()
    names = sorted(table.column_names)
    columns = [map(_plain, table[name].to_pylist()) for name in names]
    rows = zip(*columns, strict=True) if columns else iter(())
    return {name: str(table.schema.field(name).type) for name in names}, Counter(rows)


def _plain(value: Any) -> Any:
    """A value that equals itself and can be counted: a list as a tuple, a number by all of its digits."""
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return tuple((name, _plain(part)) for name, part in sorted(value.items()))
    return repr(value) if isinstance(value, float) else value


def main(arguments: list[str]) -> int:
    """Compare the homes that are named, and give the exit status."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    first, second = map(Path, arguments)
    lines = list(differences(first, second))
    for line in lines:
        print(line)  # noqa: T201
    print(f"{len(tables_of(first) | tables_of(second))} tables, {len(lines)} differ")  # noqa: T201
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
