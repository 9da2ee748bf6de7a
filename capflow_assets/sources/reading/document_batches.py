"""The rows of documents as Arrow batches, a row per element of a list where one is named.

A value that does not fit its column is null, and its row says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from capflow_assets.sources.reading import arrow_frames
from capflow_assets.sources.reading.shapes import Shape, Unfit, converter, text

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 4096
SHOWN_CHARACTERS = 100
Document = dict[str, Any]
# The column that a complaint is about, dotted inside structs, or blank for the whole row; and what it says.
Complaint = tuple[str, str]
# Documents that came from the store at once, each with its place there.
Page = Sequence[tuple[Document, str]]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the rows: each one's name, the field that it comes from, its type, and what was seen there."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[pa.DataType, ...]
    shapes: tuple[Shape | None, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns as Arrow has them, with those that say of a row where it stands and what of it cannot land."""
        import pyarrow as pa

        own = [
            (arrow_frames.UNFIT_COLUMNS, pa.list_(pa.string())),
            (arrow_frames.CORRUPT, pa.string()),
            (arrow_frames.POSITION, pa.string()),
        ]
        return pa.schema([*zip(self.names, self.kinds, strict=True), *own])


def batches_of(page: Page, columns: Columns, rows: str) -> Iterator[pa.RecordBatch]:
    """The rows of a page of documents."""
    converters = [converter(kind, shape) for kind, shape in zip(columns.kinds, columns.shapes, strict=True)]
    exploded = rows_of(page, rows)
    while some := list(islice(exploded, ROWS_AT_ONCE)):
        yield _batch(some, columns, converters)


def rows_of(page: Page, rows: str) -> Iterator[tuple[Document, str, str]]:
    """Each row of a page with its place in the store and the complaint about it, blank where there is none.

    >>> order = {"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}
    >>> for row in rows_of([(order, "order 1"), ({"id": 2, "lines": "?"}, "order 2")], "lines"): print(row)
    ({'id': 1, 'lines': {'sku': 'a'}}, 'order 1 lines[0]', '')
    ({'id': 1, 'lines': {'sku': 'b'}}, 'order 1 lines[1]', '')
    ({'id': 2, 'lines': None}, 'order 2', "lines is no list: '?'")
    """
    path = rows.split(".") if rows else []
    for document, position in page:
        if not path:
            yield document, position, ""
            continue
        rows_value = _at(document, path)
        if isinstance(rows_value, list):
            for place, element in enumerate(rows_value):
                yield _with(document, path, element), f"{position} {rows}[{place}]", ""
        elif rows_value is not None:
            yield _with(document, path, None), position, f"{rows} is no list: {text(rows_value)[:SHOWN_CHARACTERS]!r}"


def _at(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _with(document: Document, path: Sequence[str], value: Any) -> Document:
    name, *inner = path
    return {**document, name: _with(document[name], inner, value) if inner else value}


def _batch(rows: Sequence[tuple[Document, str, str]], columns: Columns, converters: Sequence[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    complaints: list[list[Complaint]] = [[("", complaint)] if complaint else [] for _, _, complaint in rows]
    arrays = []
    for name, kind, convert in zip(columns.fields, columns.kinds, converters, strict=True):
        values = [document.get(name) for document, _, _ in rows]
        if convert:
            values = [None if value is None else convert(value) for value in values]
        try:
            arrays.append(nulls_inside(pa.array(values, kind)))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            arrays.append(nulls_inside(_one_by_one(name, values, kind, complaints)))
    complaint_texts = [
        pa.array(unfit_columns(complaints), pa.list_(pa.string())),
        pa.array(texts_of(complaints), pa.string()),
    ]
    positions = [position for _, position, _ in rows]
    return pa.record_batch([*arrays, *complaint_texts, pa.array(positions)], schema=columns.schema)


def unfit_columns(complaints: Iterable[Sequence[Complaint]]) -> list[list[str] | None]:
    """For each row the columns at fault; None where none is, or the row as a whole.

    >>> unfit_columns([[("n", "n holds no int64: 'x'")], [], [("", "is no object")]])
    [['n'], None, None]
    """
    return [[column for column, _ in row] if row and all(column for column, _ in row) else None for row in complaints]


def texts_of(complaints: Iterable[Sequence[Complaint]]) -> list[str | None]:
    """For each row all that is said of it; None where nothing is."""
    return ["; ".join(said for _, said in row) or None for row in complaints]


def nulls_inside(array: pa.Array) -> pa.Array:
    """The same array with null in every field of a null struct.

    Arrow leaves blanks and zeros there, and Sail 0.7 reads a field without asking whether its struct is null.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    if pt.is_struct(array.type):
        inner = [nulls_inside(field) for field in array.flatten()]
        return pa.StructArray.from_arrays(inner, fields=list(array.type), mask=array.is_null())
    if pt.is_list(array.type) and pt.is_nested(array.type.value_type):
        values = nulls_inside(array.values)
        return pa.ListArray.from_arrays(array.offsets, values, type=array.type, mask=array.is_null())
    return array


def _one_by_one(name: str, values: Sequence[Any], kind: pa.DataType, complaints: Sequence[list[Complaint]]) -> pa.Array:
    """The values that fit; of each other one the complaint that it does not."""
    import pyarrow as pa

    pairs = zip(values, complaints, strict=True)
    return pa.array([_fitting(value, kind, name, complaint) for value, complaint in pairs], kind)


def _fitting(value: Any, kind: pa.DataType, path: str, complaint: list[Complaint]) -> Any:
    """The value, or as much of it as fits the type."""
    import pyarrow as pa
    import pyarrow.types as pt

    try:
        pa.scalar(value, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if pt.is_struct(kind) and isinstance(value, Mapping):
            return {
                part.name: _fitting(value.get(part.name), part.type, f"{path}.{part.name}", complaint) for part in kind
            }
        if pt.is_list(kind) and isinstance(value, list):
            return [_fitting(part, kind.value_type, path, complaint) for part in value]
        is_said = isinstance(value, Unfit) and value.is_sentence
        complaint.append(
            (path, str(value) if is_said else f"{path} holds no {kind}: {text(value)[:SHOWN_CHARACTERS]!r}")
        )
        return None
    return value
