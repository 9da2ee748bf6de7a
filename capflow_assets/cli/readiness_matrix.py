"""Customers × models in a terminal: ready, at risk or not, laid out as fits the screen; below, every reason.

Few models stand side by side, a customer a row. Of many, each has a row, with the customers side by side; and where
there are too many customers for that, each has a row of signs, one for every model, in the order of a list below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.cli.terminal import console

if TYPE_CHECKING:
    from rich.table import Table

STANDINGS = {
    "ready": "[green]✓ ready[/]",
    "at risk": "[yellow]! at risk[/]",
    "not ready": "[red]✗ not ready[/]",
    "unknown": "[dim]? unknown[/]",
    "off": "[dim]· off[/]",
}
# With more models than that, they do not stand side by side.
WORDS_FIT = 6
WIDEST_WORDS = len("✗ not ready")
# What the frame takes of each column.
FRAME = 3
# Signs that the eye takes in at once.
GROUP = 5
# Of a customer's models so few are named as exceptions rather than all others.
EXCEPTIONS = 3

Cells = Mapping[str, Mapping[str, str]]


def print_matrix(rows: Sequence[Mapping[str, Any]]) -> None:
    """The matrix of the rows of ``graph.status.status_rows``; each reason with the models that it holds for."""
    from rich.markup import escape

    models = list(dict.fromkeys(row["model"] for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row["customer"], {})[row["model"]] = STANDINGS[row["readiness"]]
    screen = console()
    screen.print(_grid(models, cells, screen.width))
    if len(models) > WORDS_FIT and not _fits(models, cells, screen.width, words=False):
        screen.print("models: " + ", ".join(f"{place} {name}" for place, name in enumerate(models, 1)), highlight=False)
    screen.print(_ready_counts(rows), highlight=False)
    for customer, concerned, reason in _reasons(rows):
        screen.print(f"[bold]{escape(customer)}[/] {concerned}: {escape(reason)}", soft_wrap=True, highlight=False)
    for customer, removed in dict.fromkeys((row["customer"], row.get("removed")) for row in rows):
        for words in filter(None, (removed or "").split("; also ")):
            screen.print(f"[bold]{escape(customer)}[/] {escape(words)}", soft_wrap=True, highlight=False)


def _grid(models: Sequence[str], cells: Cells, width: int) -> Table:
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title="readiness", title_justify="left")
    if len(models) <= WORDS_FIT:
        grid.add_column("customer", no_wrap=True)
        for name in models:
            grid.add_column(name.replace("_", " "), overflow="fold")
        for customer, own in cells.items():
            grid.add_row(escape(customer), *(own[name] for name in models))
    elif _fits(models, cells, width, words=False):
        has_words = _fits(models, cells, width, words=True)
        for column in ("model", *map(escape, cells)):
            grid.add_column(column, no_wrap=True)
        for name in models:
            standings = [own[name] for own in cells.values()]
            grid.add_row(name, *(words if has_words else _sign(words) for words in standings))
    else:
        grid.add_column("customer", no_wrap=True)
        grid.add_column(f"models 1 to {len(models)}", no_wrap=True)
        for customer, own in cells.items():
            signs = [_sign(own[name]) for name in models]
            groups = ["".join(signs[first : first + GROUP]) for first in range(0, len(signs), GROUP)]
            grid.add_row(escape(customer), " ".join(groups))
    return grid


def _fits(models: Sequence[str], cells: Cells, width: int, *, words: bool) -> bool:
    """Whether the customers fit side by side, with words or signs for how each stands."""
    least = WIDEST_WORDS if words else 1
    needed = max(map(len, models)) + FRAME + sum(max(len(name), least) + FRAME for name in cells) + 1
    return needed <= width


def _reasons(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Each customer's reasons with the models that they hold for, in words: what several lack is shown once."""
    models_of: dict[tuple[str, str], list[str]] = {}
    having: dict[str, list[str]] = {}
    for row in rows:
        if row["readiness"] != "off":
            having.setdefault(row["customer"], []).append(row["model"])
        for reason in filter(None, row["readiness_reason"].split("; also ")):
            models_of.setdefault((row["customer"], reason), []).append(row["model"])
    for (customer, reason), names in models_of.items():
        yield customer, _concerned(names, having.get(customer, [])), reason


def _concerned(names: Sequence[str], having: Sequence[str]) -> str:
    """The models by name; of nearly all of a customer's models, those that it does not hold for."""
    others = [name for name in having if name not in names]
    if not others:
        return "all models"
    if len(others) <= EXCEPTIONS and len(names) > WORDS_FIT:
        return f"all models but {', '.join(others)}"
    return ", ".join(names)


def _ready_counts(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = {state: sum(row["readiness"] == state for row in rows) for state in STANDINGS}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "no customers yet"


def _sign(words: str) -> str:
    """The first sign alone, in its colour."""
    colour, _, rest = words.partition("]")
    return f"{colour}]{rest[0]}[/]"
