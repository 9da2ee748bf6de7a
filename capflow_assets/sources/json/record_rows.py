"""Rows from the text of JSON records: through pyarrow where it is sure, record by record elsewhere.

What pyarrow refuses is tried again in smaller pieces, so that a bad record slows down its neighbours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.sources.json import array_elements, arrow_records
from capflow_assets.sources.json.exact_records import parsed
from capflow_assets.sources.reading import arrow_frames, documents
from capflow_assets.sources.reading.documents import Columns
from capflow_assets.sources.reading.shapes import Shape

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.sources.json.record_text import Records

FEW_RECORDS = 512
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Reader:
    """How the records of one file become rows: the columns, the array whose elements are rows, and the positions."""

    columns: Columns
    rows: str
    before: str
    after: str
    decimal_comma: bool = False

    def batches(self, chunk: Records) -> Iterator[pa.RecordBatch]:
        """The rows of some records; a record that is none is a row that says so."""
        sound, others = arrow_records.parted(chunk)
        yield from self._fast(sound)
        yield from self.batches_by_records(others)

    def _fast(self, chunk: Records) -> Iterator[pa.RecordBatch]:
        if not chunk:
            return
        kinds = [
            array_elements.with_lists(kind, path)
            for kind, path in zip(self.columns.kinds, array_elements.paths(self.columns.fields, self.rows), strict=True)
        ]
        try:
            batch = arrow_records.read(chunk, list(zip(self.columns.fields, kinds, strict=True)))
        except arrow_records.NotReadError:
            yield from (
                self.batches_by_records(chunk)
                if len(chunk) <= FEW_RECORDS
                else (batch for piece in arrow_records.pieces(chunk) for batch in self._fast(piece))
            )
            return
        yield from self._arranged(batch, arrow_frames.positions(self.before, [at for at, _ in chunk], self.after))

    def _arranged(self, batch: pa.RecordBatch, positions: pa.Array) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        arrays = batch.columns
        if self.rows:
            arrays, positions = array_elements.exploded(
                arrays, array_elements.paths(self.columns.fields, self.rows), positions, self.rows
            )
        nulls = [pa.nulls(len(positions), pa.list_(pa.string())), pa.nulls(len(positions), pa.string())]
        whole = pa.record_batch([*arrays, *nulls, positions], schema=self.columns.schema)
        yield from (whole.slice(start, ROWS_AT_ONCE) for start in range(0, whole.num_rows, ROWS_AT_ONCE))

    def batches_by_records(self, chunk: Records) -> Iterator[pa.RecordBatch]:
        """The rows of some records, each read by itself."""
        page: list[tuple[dict[str, Any], str]] = []
        broken: list[tuple[str, str]] = []
        for number, record in chunk:
            position = f"{self.before}{number}{self.after}"
            try:
                page.append((parsed(record, self.decimal_comma), position))
            except ValueError as error:
                broken.append((str(error), position))
        if page:
            yield from documents.batches_of(page, self.columns, self.rows)
        if broken:
            yield self._broken(broken)

    def _broken(self, rows: Sequence[tuple[str, str]]) -> pa.RecordBatch:
        import pyarrow as pa

        nulls = [pa.nulls(len(rows), kind) for kind in (*self.columns.kinds, pa.list_(pa.string()))]
        texts = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return pa.record_batch([*nulls, *texts], schema=self.columns.schema)


def shape_of(chunk: Records, complain: Callable[[str], None], decimal_comma: bool = False) -> Shape:
    """What the records of a chunk hold; what is wrong with one that is none is ``told``."""
    sound, others = arrow_records.parted(chunk)
    shape = _shape_at_once(sound, complain, decimal_comma)
    shape.merge(shape_by_records(others, complain, decimal_comma))
    return shape


def _shape_at_once(chunk: Records, complain: Callable[[str], None], decimal_comma: bool) -> Shape:
    shape = Shape()
    if not chunk:
        return shape
    try:
        batch = arrow_records.read(chunk, None)
        fields = {name: arrow_records.seen(batch.column(place)) for place, name in enumerate(batch.schema.names)}
        shape.merge(Shape({"struct"}, fields=fields))
    except arrow_records.NotReadError:
        if len(chunk) <= FEW_RECORDS:
            return shape_by_records(chunk, complain, decimal_comma)
        shape = Shape()
        for piece in arrow_records.pieces(chunk):
            shape.merge(_shape_at_once(piece, complain, decimal_comma))
    return shape


def shape_by_records(chunk: Records, complain: Callable[[str], None], decimal_comma: bool) -> Shape:
    """The shape of some records, each read by itself; ``complain`` is called with what is wrong with one."""
    shape = Shape()
    for _, record in chunk:
        try:
            shape.add(parsed(record, decimal_comma))
        except ValueError as error:
            complain(str(error))
    return shape
