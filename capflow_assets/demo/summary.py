"""The demo's closing page: tables, rows, models against their baselines, what was promoted and why, where to look."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagster as dg
    from rich.console import Console

    from capflow_assets.deployment import Deployment
    from capflow_assets.graph.launch import Finished

STAGES = ("raw", "clean", "validation", "features", "predictions")


def print_summary(
    deployment: Deployment, instance: dg.DagsterInstance, finished: Sequence[Finished], seconds: float
) -> None:
    """Print the whole page on standard output."""
    from rich.console import Console

    # A pipe has no width of its own; a terminal keeps its.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print()
    _tables(console, finished)
    _models(console, deployment, instance, finished)
    _failures(console, finished)
    _split(console, finished, seconds)
    _where(console, deployment, finished)


def _tables(console: Console, finished: Sequence[Finished]) -> None:
    from rich.table import Table

    grid = Table(title="Rows by stage", title_justify="left")
    grid.add_column("customer", style="bold")
    for stage in STAGES:
        grid.add_column(stage, justify="right")
    grid.add_column("tables", justify="right")
    grid.add_column("absent", justify="right")
    for result in finished:
        rows = [_rows(result, stage) for stage in STAGES]
        absent = sum(metadata.get("status") == "absent" for metadata in result.done.values())
        written = sum("dagster/row_count" in metadata for metadata in result.done.values())
        grid.add_row(result.customer, *(f"{count:,}" for count in rows), str(written), str(absent))
    console.print(grid)


def _rows(result: Finished, stage: str) -> int:
    return sum(
        int(metadata.get("dagster/row_count", 0)) for key, metadata in result.done.items() if key.split("/")[0] == stage
    )


def _models(
    console: Console, deployment: Deployment, instance: dg.DagsterInstance, finished: Sequence[Finished]
) -> None:
    from rich.markup import escape
    from rich.table import Table

    from capflow_assets.cli.terminal import cell, coloured
    from capflow_assets.graph.status import status_rows

    grid = Table(
        title="Models, each judged on the newest horizon by the same rows as its baseline", title_justify="left"
    )
    for name in ("customer", "model", "status", "metric", "model's", "95 % interval", "baseline's", "drift"):
        grid.add_column(name, justify="right" if name.endswith(("'s", "drift")) else "left", no_wrap=True)
    whys = []
    for result in finished:
        for row in status_rows(deployment, instance, [result.customer]):
            shown = [row["customer"], row["model"], coloured(row["status"]), cell(row["metric"]), cell(row["value"])]
            grid.add_row(*shown, cell(row["interval"]), cell(row["baseline"]), cell(row["drift"]))
            if row["status"] != "promoted":
                whys.append(f"{row['customer']} {row['model']}: {row['reason'] or row['status']}")
    console.print(grid)
    for why in whys:
        console.print(f"  [yellow]·[/] {escape(' '.join(why.split()))}", highlight=False, soft_wrap=True)


def _failures(console: Console, finished: Sequence[Finished]) -> None:
    from rich.markup import escape

    for result in finished:
        roots = result.root_causes
        for key, reason in roots.items():
            console.print(f"[red]{result.customer} {key}[/]: {escape(reason)}", soft_wrap=True)
        if len(result.failures) > len(roots):
            count = len(result.failures) - len(roots)
            console.print(f"[red]{result.customer}[/]: {count} more assets are made of these", soft_wrap=True)


def _split(console: Console, finished: Sequence[Finished], seconds: float) -> None:
    assets = sum(len(result.done) for result in finished)
    console.print(f"{assets} assets of {len(finished)} customers in {seconds:.0f} s.", highlight=False)


def _where(console: Console, deployment: Deployment, finished: Sequence[Finished]) -> None:
    home: Any = deployment.home
    names = ",".join(result.customer for result in finished)
    console.print(f"Plots:    {home.lake}/{{{names}}}/plots/", highlight=False)
    console.print("Look:     capflow show features/rfm --customer grocer", highlight=False)
    console.print("          capflow explain grocer purchase_propensity", highlight=False)
    console.print("The graph: make ui, then http://127.0.0.1:3000", highlight=False)
