"""How one text file is written, as far as its first lines tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from capflow_assets.sources.csv.text_rows import rows_of, text_of
from capflow_assets.sources.reading.text_encodings import SPLITTABLE

if TYPE_CHECKING:
    from capflow_assets.sources.csv.options import Options

# What Excel writes above a file whose delimiter is not that of the country.
EXCELS_DELIMITER = re.compile(r'"?sep=([^\r\n"])"?[;,\t]*[ \r\n]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is written: its columns, and the options with its own delimiter.

    ``above`` are the lines above the first row, and ``head_lines`` those above the first row of data. ``ends_in_cr``
    where lines end as those of old Macs did.
    """

    columns: list[str]
    options: Options
    above: int = 0
    head_lines: int = 0
    ends_in_cr: bool = False

    @property
    def is_by_lines(self) -> bool:
        """Whether a file can only be read row by row from its start: nowhere in it is a line's end surely a row's."""
        options = self.options
        return options.multiline or self.ends_in_cr or not options.encoding.startswith(SPLITTABLE)


def layout_of(path: str, options: Options) -> tuple[Layout, int, list[str]]:
    """How a file is written, as far as its first lines tell, and the line and values of its first row."""
    with text_of(path, options.encoding) as (lines, ends_in_cr):
        first = next(lines, "")
        mark = EXCELS_DELIMITER.fullmatch(first)
        if mark:
            options = options.model_copy(update={"delimiter": mark[1]})
        above = options.header_row - 1 if options.header_row else 1 if mark else 0
        rest = islice(lines, above - 1, None) if above else chain([first], lines)
        number, values, _ = next(rows_of(rest, options, above + 1), (0, [], ""))
        layout = Layout([], options, above, number if options.header else above, ends_in_cr)
        return layout, number, values
