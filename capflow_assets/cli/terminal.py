"""How results look in a terminal. Does not belong here: where they come from, and files (``cli.table_files``)."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from capflow_assets.cli.layout import Laid
from capflow_assets.cli.table_files import finite, safe_text
from capflow_assets.pages.spreadsheet import harmless

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from capflow_assets.graph.launch import Finished, Progress


@contextmanager
def following(assets: Mapping[str, int]) -> Iterator[Callable[[Progress], None]]:
    """A progress bar per customer on standard error, as long as its assets are many; call the result for each done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    bars = Bars(
        TextColumn("[bold]{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[last]}"),
        console=console,
        auto_refresh=console.is_terminal,  # elsewhere only the last state is printed, and drawing others costs
    )
    with bars:
        tasks = {name: bars.add_task(name, total=total, last="", start=False) for name, total in assets.items()}

        def watch(progress: Progress) -> None:
            task = tasks[progress.customer]
            bars.start_task(task)
            bars.update(task, advance=1, last=progress.key)

        yield watch


DONE = ("done", "promoted", "not promoted", "kept the champion", "no destination", None)


def print_finished(results: Sequence[Finished]) -> None:
    """One line per customer, every failure with its reason, and every check that warns."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    for result in results:
        states = [metadata.get("status") for metadata in result.done.values()]
        asking = states.count("asks")
        waiting = sum(state not in DONE for state in states) - asking
        mark = "[green]✓[/]" if result.ok else "[red]✗[/]"
        asks = f"{asking} asks a person, " if asking else ""
        done = len(states) - waiting - asking
        text = f"{done} done, {asks}{waiting} waiting or absent, {len(result.failures)} failed"
        console.print(f"{mark} [bold]{result.customer}[/]: {text}")
        for key, metadata in result.done.items():
            for words in left_out(result.customer, key, metadata):
                console.print(f"  [yellow]{key}[/]: {escape(words)}", soft_wrap=True)
        for key, reason in absent_tables(result.done):
            console.print(f"  [yellow]{key}[/]: absent: {escape(reason)}", soft_wrap=True)
        roots = result.root_causes
        for reason in dict.fromkeys(roots.values()):
            keys = ", ".join(key for key in roots if roots[key] == reason)
            console.print(f"  [red]{keys}[/]: {escape(reason)}", soft_wrap=True)
        if len(result.failures) > len(roots):
            others = ", ".join(key for key in result.failures if key not in roots)
            console.print(f"  made of these, so not done either: {others}", soft_wrap=True)
        for warned in result.warnings:
            if warned.check not in ("landed", "removed"):  # shown above, with where the rows are
                console.print(f"  [yellow]{warned.key}[/]: {warned.check}: {escape(warned.message)}", soft_wrap=True)


def absent_tables(done: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Which tables of a run the customer cannot have, each with why, where none of it was made; else the bills alone.

    Nearly all is made of bills; what else is absent is seen in ``capflow status``.
    """
    absent = {key: str(of["reason"]) for key, of in done.items() if of.get("status") == "absent" and of.get("reason")}
    is_nothing_done = len(absent) == len(done)
    yield from ((key, reason) for key, reason in absent.items() if is_nothing_done or key == "clean/bills")


def left_out(customer: str, key: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    """What of a table's rows is not in it, in words, and where those rows are."""
    counts = metadata.get("counts") or {}
    if counts.get("rejected"):
        aside = f"{counts['rejected']:,} of {counts['came']:,} rows cannot be read and were set aside"
        yield f"{aside}; capflow show {key}_rejected --customer {customer}"
    if counts.get("guests"):
        yield f"{counts['guests']:,} of {counts['came']:,} rows are guests, on which no user stands"
    if counts.get("totals"):
        aside = f"{counts['totals']:,} of {counts['came']:,} rows sum others up, and are no bills"
        yield f"{aside}; capflow show {key}_rejected --customer {customer}"
    if counts.get("left_out"):
        sent = counts["came"] + counts["left_out"] + counts.get("forgotten", 0)
        yield f"{counts['left_out']:,} of {sent:,} rows are left out, as where in the TOML says"
    if metadata.get("removed"):
        yield f"{metadata['removed']}; capflow show {key}_removed --customer {customer}"


NUMERIC = ("int", "double", "float", "decimal")


def print_table(title: str, table: pa.Table, limit: int, counts: Mapping[str, int] | None = None) -> None:
    """The first rows of a table, how many there are, and what was set aside or flagged, by reason."""
    kinds = dict(zip(table.column_names, map(str, table.schema.types), strict=True))
    numeric = frozenset(name for name, kind in kinds.items() if any(word in kind for word in NUMERIC))
    rows = [[cell(value) for value in row.values()] for row in table.slice(0, limit).to_pylist()]
    Laid(title, table.column_names, rows, numeric, counted(table, counts or {})).printed(console())


def console() -> Console:
    """Standard output. A pipe, which has no width of its own, is as wide as COLUMNS says, or 200 characters."""
    from rich.console import Console

    has_width = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console() if has_width else Console(width=200)


def counted(table: pa.Table, counts: Mapping[str, int]) -> str:
    """How many rows, how many users where the table has them, and the counts by reason."""
    import pyarrow.compute as pc

    text = f"{table.num_rows:,} rows"
    if "user_id" in table.column_names:
        text += f", {pc.count_distinct(table['user_id'], mode='only_valid').as_py():,} users"
    return "; ".join([text, *(f"{reason} {rows:,}" for reason, rows in counts.items())])


def cell(value: Any) -> str:
    """A value as a person reads it."""
    from rich.markup import escape

    if value is None:
        return "[dim]–[/]"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if hasattr(value, "strftime"):
        return str(value).removesuffix("+00:00")
    return escape(str(value))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], kind: str, title: str) -> None:
    """Rows as a table, CSV or JSON on standard output."""
    if kind == "json":
        sys.stdout.write(json.dumps([finite(row) for row in rows], indent=2, default=str) + "\n")
        return
    if kind == "csv":
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writerow({name: harmless(name) for name in columns})
        writer.writerows({name: safe_text(row[name]) for name in columns} for row in rows)
        return
    shown = [[coloured(row[name]) for name in columns] for row in rows]
    Laid(title, [name.replace("_", " ") for name in columns], shown).printed(console())


COLOURS = {
    "promoted": "green",
    "promoted by hand": "green",
    "rolled back by hand": "yellow",
    "no champion": "yellow",
    "done": "green",
    "not ready": "yellow",
    "asks": "yellow",
    "not promoted": "yellow",
    "never run": "dim",
    "off": "dim",
}


def coloured(value: Any) -> str:
    """A cell, with the colour of its status where it is one."""
    shown = cell(value)
    return f"[{COLOURS[value]}]{shown}[/]" if isinstance(value, str) and value in COLOURS else shown


def print_report(report: Mapping[str, Any], kind: str) -> None:
    """A nested report: JSON as it is; a table or CSV of dotted names and values."""
    if kind == "json":
        sys.stdout.write(json.dumps(finite(report), indent=2, default=str) + "\n")
        return
    rows = [{"name": name, "value": value} for name, value in flat(report)]
    print_rows(rows, ("name", "value"), kind, f"{report['customer']}.{report['model']}")


def flat(report: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested report by dotted name.

    >>> dict(flat({"metric": {"value": 0.8}, "columns": ["a", "b"]}))
    {'metric.value': 0.8, 'columns': 'a, b'}
    """
    for name, value in report.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and not any(isinstance(item, Mapping) for item in value):
            yield prefix + name, ", ".join(map(str, value))
        elif isinstance(value, list):
            for position, item in enumerate(value):
                yield from flat(item, f"{prefix}{name}.{position}.")
        else:
            yield prefix + name, value
