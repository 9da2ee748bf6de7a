"""What text plainly says of a time, told by pyarrow for many rows at once: a third of what the text's rules cost.

A glance is never another answer than the rules give (``capflow_assets.landing.values``), only the same sooner. Where
it leaves a doubt it tells nothing, and the text is read by the rules: an hour that a clock shows twice or never, and
all rows of a batch of which one has another form.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.landing.values import SEEN

if TYPE_CHECKING:
    import pyarrow as pa

# Of ISO 8601 in local time: a day, with hours and minutes, with seconds, with up to nine digits of a fraction.
ISO_LENGTHS = frozenset((10, 16, 19, *range(21, 30)))
# pyarrow takes every clock for standing still outside of these: it knows no rules, only the changes that are listed.
FIRST_YEAR, LAST_YEAR = 1970, 2036


@dataclass(frozen=True, slots=True)
class Glance:
    """The columns to look at for local times, and the zone of these."""

    columns: Collection[str] = ()
    zone: str = "UTC"

    def of(self, names: list[str]) -> Glance:
        """Of those columns alone; of none where one of them has a name that a glance would give."""
        is_taken = any(name.lower().startswith(SEEN) for name in names)
        return Glance(() if is_taken else tuple(name for name in names if name in self.columns), self.zone)

    def at(self, table: pa.Table) -> pa.Table:
        """The table with the instants that its columns plainly say."""
        for name in self.columns:
            if name in table.column_names:
                seen = instants(table[name], self.zone)
                if seen is not None:
                    table = table.append_column(SEEN + name, seen)
        return table


def instants(texts: pa.ChunkedArray, zone: str) -> pa.ChunkedArray | None:
    """What local times of ``zone`` are in UTC, null where a clock shows one twice or never; None where one is odd.

    >>> import pyarrow as pa
    >>> texts = pa.chunked_array([["2024-03-31 01:59", "2024-03-31 02:30", None]])
    >>> instants(texts, "Europe/Madrid").cast(pa.string()).to_pylist()
    ['2024-03-31 00:59:00.000000Z', None, None]
    >>> instants(pa.chunked_array([["2024-03-31", "noon"]]), "Europe/Madrid") is None
    True
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not ISO_LENGTHS.issuperset(pc.unique(pc.binary_length(texts)).drop_null().to_pylist()):
        return None
    try:
        local = pc.cast(pc.cast(texts, pa.timestamp("ns")), pa.timestamp("us"))  # an error where that loses a digit
        ends = pc.min_max(local).as_py()
        if ends["min"] is not None and not FIRST_YEAR <= ends["min"].year <= ends["max"].year <= LAST_YEAR:
            return None
        sooner, later = (
            pc.assume_timezone(local, zone, ambiguous=which, nonexistent=which) for which in ("earliest", "latest")
        )
    except (pa.ArrowException, ValueError):
        return None
    seen = pc.if_else(pc.equal(sooner, later), sooner, None)
    return seen.cast(pa.timestamp("us", "UTC"))
