"""Rows on a screen: columns side by side where they fit, and one record below the other where they do not.

Belongs here: how wide rows are, and how they are laid out. Not here: what a value looks like (``cli.terminal``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# A longer text is folded; a shorter one stays whole.
FOLDED_CHARACTERS = 30
# What the frame of a table takes of each line, for each column and once.
FRAME = (3, 1)


@dataclass(frozen=True, slots=True)
class Laid:
    """Cells in rich's markup, by column; ``numeric`` ones stand to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    caption: str = ""

    def printed(self, console: Console) -> None:
        """Print them as fits the console."""
        is_wide = fits(self.columns, self.rows, console.width)
        console.print(self._table() if is_wide else self._records(console.width))

    def _table(self) -> RenderableType:
        from rich.table import Table

        widths = _widths(self.columns, self.rows)
        grid = Table(title=self.title, title_justify="left", caption=self.caption or None, caption_justify="left")
        for name in self.columns:
            side = "right" if name in self.numeric else "left"
            grid.add_column(name, justify=side, overflow="fold", min_width=widths[name])  # type: ignore[arg-type]
        for row in self.rows:
            grid.add_row(*row)
        return grid

    def _records(self, width: int) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        names = max(map(len, self.columns), default=0)
        parts: list[RenderableType] = [Text(self.title, style="italic")]
        for number, row in enumerate(self.rows, 1):
            grid = Table.grid(padding=(0, 2))
            # On a very narrow screen names are folded, so that values keep a place.
            grid.add_column(overflow="fold", style="bold", max_width=max(8, min(names, width // 2)))
            grid.add_column(overflow="fold", ratio=1)
            for name, cell in zip(self.columns, row, strict=True):
                grid.add_row(name, cell)
            parts += [Text(f"{number}.", style="dim"), Padding(grid, (0, 0, 0, 2))]
        return Group(*parts, *([Text(self.caption, style="dim italic")] if self.caption else []))


def fits(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether all columns stand side by side with no name and no short value broken.

    >>> fits(["id", "amount"], [["a", "1.00"]], 80), fits(["name"] * 20, [], 80)
    (True, False)
    """
    per_column, once = FRAME
    return sum(_widths(columns, rows)[name] for name in columns) + per_column * len(columns) + once <= width


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Mapping[str, int]:
    """The characters that each column needs."""
    from rich.text import Text

    def needed(place: int) -> int:
        longest = max((Text.from_markup(row[place]).cell_len for row in rows), default=0)
        return max(len(columns[place]), min(longest, FOLDED_CHARACTERS))

    return {name: needed(place) for place, name in enumerate(columns)}
