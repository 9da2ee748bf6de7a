"""What text plainly says of a time, a number or an id, told for many rows at once: a third of what its rules cost.

A glance is never another answer than the rules give (``capflow_assets.landing.values``), only the same sooner. Where
it leaves a doubt it tells nothing, and the text is read by the rules: an hour that a clock shows twice or never, a
number that is none, an id with a sign beyond ASCII, and all rows of a batch of which one has another form.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from capflow_assets.landing.values import ID, SEEN

if TYPE_CHECKING:
    import pyarrow as pa

# Of ISO 8601 in local time: a day, with hours and minutes, with seconds, with up to nine digits of a fraction.
ISO_LENGTHS = frozenset((10, 16, 19, *range(21, 30)))
ISO_LOCAL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?\z"
PLAIN_NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z"
# pyarrow takes every clock for standing still outside of these: it knows no rules, only the changes that are listed.
FIRST_YEAR, LAST_YEAR = 1970, 2036
QUARTER = 900_000_000
IN_DOUBT = -(1 << 62)
# Between them are the printable signs of ASCII.
BLANK, DELETE = ord(" "), 0x7F


@dataclass(frozen=True, slots=True)
class Glance:
    """The columns to look at, each for ``timestamp``, ``double`` or ``id``, and the zone of local times.

    ``used`` are the columns that somebody wants; the others' text may be left out. None: all of them.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    used: Collection[str] | None = None

    def of(self, names: list[str]) -> Glance:
        """Of those columns alone; of none where one of them has a name that a glance would give."""
        is_taken = any(name.lower().startswith(SEEN) for name in names)
        there = () if is_taken else [name for name in names if name in self.columns]
        return replace(self, columns={name: self.columns[name] for name in there})

    def at(self, table: pa.Table) -> pa.Table:
        """The table with the instants, numbers and ids that its columns plainly say."""
        for name, kind in self.columns.items():
            if name in table.column_names:
                seen = self._seen(table[name], kind)
                if seen is not None:
                    table = table.append_column(SEEN + name, seen)
        return table

    def _seen(self, texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray | None:
        if kind == "timestamp":
            return instants(texts, self.zone)
        return identifiers(texts) if kind == ID else numbers(texts)


def instants(texts: pa.ChunkedArray, zone: str) -> pa.ChunkedArray | None:
    """What local times of ``zone`` are in UTC, null where a clock shows one twice or never, or where it is no ISO 8601.

    None where one of these cannot be told, such as the 30th of February.

    >>> import pyarrow as pa
    >>> texts = pa.chunked_array([["2024-03-31 01:30", "2024-03-31 02:30", None]])
    >>> instants(texts, "Europe/Madrid").cast(pa.string()).to_pylist()
    ['2024-03-31 00:30:00.000000Z', None, None]
    >>> instants(pa.chunked_array([["2024-02-30", "2024-03-31"]]), "Europe/Madrid") is None
    True
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not ISO_LENGTHS.issuperset(pc.unique(pc.binary_length(texts)).drop_null().to_pylist()):
        texts = _matching(texts, ISO_LOCAL)
    try:
        local = pc.cast(pc.cast(texts, pa.timestamp("ns")), pa.timestamp("us"))  # an error where that loses a digit
        ends = pc.min_max(local).as_py()
        if ends["min"] is None or not FIRST_YEAR <= ends["min"].year <= ends["max"].year <= LAST_YEAR:
            return None
        ahead = np.concatenate([_ahead(zone, year) for year in range(ends["min"].year, ends["max"].year + 1)])
    except (pa.ArrowException, ValueError):
        return None
    begins = np.datetime64(f"{ends['min'].year}-01-01", "us").astype(np.int64)
    times = local.combine_chunks().cast(pa.int64())
    micros = times.fill_null(begins).to_numpy()
    ahead_of_utc = ahead[(micros - begins) // QUARTER]
    seen = pa.array(micros - ahead_of_utc, mask=ahead_of_utc == IN_DOUBT)
    return pa.chunked_array([pc.if_else(times.is_valid(), seen, None).cast(pa.timestamp("us", "UTC"))])


def numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The finite numbers that texts are; null where one is none, blanks around it included.

    >>> import pyarrow as pa
    >>> numbers(pa.chunked_array([["1.50", "-2e3", None, "inf"]])).to_pylist()
    [1.5, -2000.0, None, None]
    >>> numbers(pa.chunked_array([["1.50", "1,50"]])).to_pylist()
    [1.5, None]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        seen = pc.cast(texts, pa.float64())
    except pa.ArrowException:
        seen = pc.cast(_matching(texts, PLAIN_NUMBER), pa.float64())
    is_finite = pc.is_finite(seen)
    return seen if pc.all(is_finite).as_py() in (True, None) else pc.if_else(is_finite, seen, None)


def identifiers(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The ids that texts are as they stand; null where one is blank or has blanks around it.

    None where one has a sign that is no printable one of ASCII: it may be a blank, or need composing.

    >>> import pyarrow as pa
    >>> identifiers(pa.chunked_array([["U1", " U2", "the 3rd", None, "-", ""]])).to_pylist()
    ['U1', None, 'the 3rd', None, '-', None]
    >>> identifiers(pa.chunked_array([["U1", "U\\t2"]])), identifiers(pa.chunked_array([["U1", "Zo\xeb"]]))
    (None, None)
    """
    import pyarrow as pa

    chunks = [_identifiers(chunk) for chunk in texts.chunks]
    return None if any(chunk is None for chunk in chunks) else pa.chunked_array(chunks, texts.type)


def _identifiers(texts: pa.StringArray) -> pa.StringArray | None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    _, offsets, characters = texts.buffers()
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    begins, ends = places[:-1], places[1:]
    signs = np.frombuffer(characters or b"", np.uint8)[: places[-1]]
    is_empty = begins == ends
    if is_empty.all():
        return pa.nulls(len(texts), texts.type)
    own = signs[places[0] :]
    if own.max() >= DELETE or own.min() < BLANK:
        return None
    has_ends = np.zeros(len(texts), bool) if own.min() > BLANK else _has_blank_ends(signs, begins, ends)
    is_plain = ~(is_empty | has_ends)
    return texts if is_plain.all() else pc.if_else(pa.array(is_plain), texts, None)


def _has_blank_ends(signs: Any, begins: Any, ends: Any) -> Any:
    """Where the first or the last sign is a blank; of empty texts, anything."""
    last = len(signs) - 1
    return (signs[begins.clip(max=last)] == BLANK) | (signs[(ends - 1).clip(min=0)] == BLANK)


def _matching(texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.if_else(pc.match_substring_regex(texts, pattern), texts, None)


@cache
def _ahead(zone: str, year: int) -> Any:
    """By how many microseconds the clock is ahead of UTC in each local quarter of an hour of a year.

    ``IN_DOUBT`` for a quarter with an instant that a clock shows twice or never, at its ends or between.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    begins, ends = (np.datetime64(f"{first}-01-01", "us").astype(np.int64) for first in (year, year + 1))
    quarters = np.arange(begins, ends + QUARTER, QUARTER)
    local = pa.array(quarters, pa.timestamp("us"))
    sooner, later = (
        quarters - pc.assume_timezone(local, zone, ambiguous=which, nonexistent=which).cast(pa.int64()).to_numpy()
        for which in ("earliest", "latest")
    )
    is_plain = (sooner[:-1] == later[:-1]) & (sooner[1:] == later[1:]) & (sooner[:-1] == sooner[1:])
    return np.where(is_plain, sooner[:-1], IN_DOUBT)


NOTHING = Glance()
