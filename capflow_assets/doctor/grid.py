"""How the report looks on a screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from capflow_assets.doctor.examination import Result

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red", "skipped": "dim", "mended": "cyan"}
WIDE = 120
MARKS = {"ok": "✓", "warning": "!", "broken": "✗", "skipped": "–", "mended": "✚"}


def grid(results: Sequence[Result], width: int) -> Table:
    """A table of all results for a screen of ``width`` characters, with the counts of each state below it.

    On a narrow screen, what to do stands below what was found.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="capflow doctor", title_justify="left", caption=counted(results), caption_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found", overflow="fold", ratio=3)
    if width >= WIDE:
        table.add_column("to do", overflow="fold", ratio=2)
    for check, state, words, to_do in results:
        colour = COLOURS[state]
        name = f"[dim]{check}[/]" if state == "skipped" else check
        message = f"[dim]{escape(words)}[/]" if state == "skipped" else escape(words)
        cells = [name, f"[{colour}]{MARKS[state]} {state}[/]", message, escape(to_do)]
        if width < WIDE:
            cells[2:] = ["\n".join([message, *([f"[bold]→[/] {escape(to_do)}"] if to_do else [])])]
        table.add_row(*cells)
    return table


def counted(results: Sequence[Result]) -> str:
    """How many results there are of each state.

    >>> counted([Result("a.b", "ok", "", ""), Result("a.c", "broken", "", "")])
    '1 ok, 0 warnings, 1 broken, 0 skipped'
    """
    by_state = Counter(result.state for result in results)
    plural = "" if by_state["warning"] == 1 else "s"
    counts = f"{by_state['ok']} ok, {by_state['warning']} warning{plural}, {by_state['broken']} broken"
    mended = f", {by_state['mended']} mended" if by_state["mended"] else ""
    return f"{counts}, {by_state['skipped']} skipped{mended}"
