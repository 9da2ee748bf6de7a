"""A row per element of an array in each record, in Arrow: the element in the array's place, the record's fields beside.

The same as ``_documents.rows_of`` does document by document, for records whose every field has a type already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def paths(fields: Sequence[str], rows: str) -> list[list[str] | None]:
    """For each field the path inside it to the array whose elements are rows; None where that is not in it."""
    first, *inner = rows.split(".") if rows else [""]
    return [inner if rows and name == first else None for name in fields]


def with_lists(kind: pa.DataType, path: Sequence[str] | None) -> pa.DataType:
    """The type of the records' field where ``kind`` is that of the rows'."""
    import pyarrow as pa

    if path is None:
        return kind
    if not path:
        return pa.list_(kind)
    if not pa.types.is_struct(kind):
        return kind
    inner = [field.with_type(with_lists(field.type, path[1:])) if field.name == path[0] else field for field in kind]
    return pa.struct(inner)


def exploded(
    arrays: Sequence[pa.Array], paths: Sequence[list[str] | None], positions: pa.Array, rows: str
) -> tuple[list[pa.Array], pa.Array]:
    """A row for each element of the array at the path, with the element in the array's place, and its position."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = next(_at(array, path) for array, path in zip(arrays, paths, strict=True) if path is not None)
    parents, elements = pc.list_parent_indices(lists), pc.list_flatten(lists)
    taken = [
        array.take(parents) if path is None else _with(array, path, parents, elements)
        for array, path in zip(arrays, paths, strict=True)
    ]
    owners = parents.to_numpy()
    places = pa.array(np.arange(len(owners)) - np.searchsorted(owners, owners)).cast(pa.string())
    element_positions = pc.binary_join_element_wise(
        positions.take(parents), pa.scalar(f" {rows}["), places, pa.scalar("]"), ""
    )
    return taken, element_positions


def _at(array: pa.Array, path: Sequence[str]) -> pa.Array:
    import pyarrow.compute as pc

    return pc.struct_field(array, list(path)) if path else array


def _with(array: pa.Array, path: Sequence[str], parents: pa.Array, elements: pa.Array) -> pa.Array:
    import pyarrow as pa

    if not path:
        return elements
    fields = list(array.type)
    inner = [
        _with(array.field(place), path[1:], parents, elements)
        if field.name == path[0]
        else array.field(place).take(parents)
        for place, field in enumerate(fields)
    ]
    fields_with_lists = [field.with_type(values.type) for field, values in zip(fields, inner, strict=True)]
    return pa.StructArray.from_arrays(inner, fields=fields_with_lists, mask=array.is_null().take(parents))
