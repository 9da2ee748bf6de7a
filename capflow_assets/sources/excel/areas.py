"""The rectangle of a sheet in which a table stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from capflow_assets.sources.excel.workbooks import MOST_COLUMNS, MOST_ROWS, column_number

RANGE = re.compile(r"([A-Z]{1,3})([0-9]{0,7}):([A-Z]{1,3})([0-9]{0,7})")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells, counted from 0, both ends in it."""

    top: int = 0
    left: int = 0
    bottom: int = MOST_ROWS
    right: int = MOST_COLUMNS

    @classmethod
    def of(cls, text: str) -> Area:
        """The area that Excel writes so.

        >>> Area.of("B3:D9")
        Area(top=2, left=1, bottom=8, right=3)
        >>> Area.of("nonsense")
        Traceback (most recent call last):
        ...
        ValueError: 'nonsense' is no range; one is written B3:F200, B3:F or B:F
        """
        match = RANGE.fullmatch(text.upper())
        if not match:
            raise ValueError(f"{text!r} is no range; one is written B3:F200, B3:F or B:F")
        left, top, right, bottom = match.groups()
        last = int(bottom) - 1 if bottom else MOST_ROWS
        return cls(int(top or 1) - 1, column_number(left) - 1, last, column_number(right) - 1)
