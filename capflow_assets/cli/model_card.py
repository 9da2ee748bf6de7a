"""A model's card in a terminal: what it answers, from what data, how good it is, and what was decided and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capflow_assets.cli.layout import Laid
from capflow_assets.cli.terminal import console
from capflow_assets.pages.card_content import lines, tables

# Columns and trials beyond these are in ``--format json``.
MOST_ROWS = 12


def print_card(report: Mapping[str, Any]) -> None:
    """The card of a version; of a model that was never trained, why not."""
    from rich.markup import escape

    screen = console()
    version = report.get("version")
    title = f"{report['customer']}.{report['model']}" + (f", version {version}" if version else "")
    screen.print(f"[bold]{escape(title)}[/]  {escape(str(report.get('question', '')))}", highlight=False)
    if version is None:
        screen.print(f"{report.get('status', '')}: {report.get('reason', '')}", highlight=False, markup=False)
        return
    facts = list(lines(report))
    width = max(14, *(len(name) + 2 for name, _ in facts), 0)
    for name, text in facts:
        screen.print(f"[dim]{name:<{width}}[/]{escape(text)}", highlight=False, soft_wrap=True)
    for name, columns, rows in tables(report):
        screen.print()
        Laid(name, columns, [[escape(cell) for cell in row] for row in rows[:MOST_ROWS]]).printed(screen)
        if len(rows) > MOST_ROWS:
            screen.print(f"[dim]and {len(rows) - MOST_ROWS} more: --format json[/]")


def reproduction(report: Mapping[str, Any], versions: Mapping[str, int | None]) -> list[str]:
    """The command that trains a version again, after what has to be the same for the same model to come of it.

    ``versions`` are those that the tables have now.
    """
    if report.get("version") is None:
        return [f"# never trained: {report.get('reason', '')}"]
    customer, model, params = report["customer"], report["model"], report["params"]
    moved = [
        f"{table} was v{then} and is v{versions.get(table)}"
        for table, then in report["data_versions"].items()
        if versions.get(table) != then
    ]
    return [
        f"# code {report['code_version']}, seed {report['seed']}",
        f"# data {'; '.join(moved) if moved else 'as it was'}",
        f"# [models.{model}] {', '.join(f'{name} = {value!r}' for name, value in params.items())}",
        f"capflow run {customer} --select models/{model} --as-of {report['as_of']}",
    ]
