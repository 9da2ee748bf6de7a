"""The type that holds what documents have at one place: learnt value by value, merged over workers, and filled again.

Nested documents stay structs and lists stay arrays. Whole numbers stay exact, as ``bigint`` or a decimal; numbers of
several kinds meet in the widest that loses nothing; whatever else is mixed becomes text, documents and lists as JSON.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DEPTH = 20
MOST_FIELDS = 1000
MOST_DIGITS = 38
# Beyond it a double no longer tells every whole number from the next.
EXACT_IN_DOUBLE = 1 << 53
LONG = 1 << 63
KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "int",
    Decimal: "decimal",
    float: "double",
    str: "string",
    bytes: "binary",
    datetime: "timestamp",
    dict: "struct",
    list: "array",
}
NUMBERS = {"int", "decimal", "double"}
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value of a store that no column holds, in words: its row says so.

    Where they are a whole sentence, that is all that is said.
    """

    said: str
    is_sentence: bool = False

    def __str__(self) -> str:
        return self.said


@dataclass(slots=True)
class Shape:
    """What was seen at one place of many documents. A value of a type that is not known leaves no trace."""

    kinds: set[str] = field(default_factory=set)
    largest: int = 0
    least: int = 0
    whole: int = 0
    scale: int = 0
    fields: dict[str, Shape] = field(default_factory=dict)
    of: Shape | None = None

    def add(self, value: Any, depth: int = 0) -> None:
        """Learn one more value."""
        kind = KINDS.get(type(value)) or _kind(value)
        if kind == "struct":
            self._add_fields(value, depth)
        elif kind == "array":
            self._add_elements(value, depth)
        else:
            self.kinds.add(kind)
            if kind == "int":
                self.largest, self.least = max(self.largest, value), min(self.least, value)
            elif kind == "decimal":
                self._add_decimal(value)

    def merge(self, other: Shape) -> None:
        """Learn all that another shape has seen."""
        self.kinds |= other.kinds
        self.largest, self.least = max(self.largest, other.largest), min(self.least, other.least)
        self.whole, self.scale = max(self.whole, other.whole), max(self.scale, other.scale)
        for name, shape in other.fields.items():
            self.fields.setdefault(name, Shape()).merge(shape)
        self._bound_fields()
        if other.of is not None:
            self.of = self.of or Shape()
            self.of.merge(other.of)

    def _add_fields(self, document: Mapping[str, Any], depth: int) -> None:
        if depth >= MOST_DEPTH:
            self.kinds.add("deep")
            return
        self.kinds.add("struct")
        for name, value in document.items():
            child = self.fields.get(name)
            if child is None:
                child = self.fields[name] = Shape()
            child.add(value, depth + 1)
        self._bound_fields()

    def _add_elements(self, elements: Sequence[Any], depth: int) -> None:
        if depth >= MOST_DEPTH:
            self.kinds.add("deep")
            return
        self.kinds.add("array")
        self.of = self.of or Shape()
        for element in elements:
            self.of.add(element, depth + 1)

    def _bound_fields(self) -> None:
        """Keys without end are data, an id each, say: such documents stay JSON."""
        if len(self.fields) > MOST_FIELDS:
            self.kinds.add("wide")
        if "wide" in self.kinds:
            self.fields = {}

    def _add_decimal(self, value: Decimal) -> None:
        if not value.is_finite():
            self.kinds.add("null")
            return
        _, digits, exponent = value.as_tuple()
        self.whole = max(self.whole, len(digits) + int(exponent))
        self.scale = max(self.scale, -int(exponent))

    def number(self) -> pa.DataType:
        """The type for the numbers seen: exact, or double where a store itself keeps doubles; else text."""
        import pyarrow as pa

        kinds = self.kinds & NUMBERS
        most = max(self.largest, -self.least)
        if "double" in kinds:
            is_exact = most <= EXACT_IN_DOUBLE and self.whole + self.scale <= 15
            return pa.float64() if is_exact else pa.string()
        if kinds == {"int"} and self.least >= -LONG and self.largest < LONG:
            return pa.int64()
        whole = max(self.whole, len(str(most)), 1)
        if self.scale == 0 and whole <= 18:
            return pa.int64()
        return pa.decimal128(whole + self.scale, self.scale) if whole + self.scale <= MOST_DIGITS else pa.string()

    def arrow(self) -> pa.DataType:
        """The Arrow type that holds everything seen; text where nothing but nulls was."""
        import pyarrow as pa

        kinds = self.kinds - {"null"}
        if kinds and kinds <= NUMBERS:
            return self.number()
        if kinds == {"struct"} and self.fields:
            names = unique(self.fields)
            return pa.struct([(names[name], shape.arrow()) for name, shape in self.fields.items()])
        if kinds == {"array"} and self.of is not None:
            return pa.list_(self.of.arrow())
        plain = {"boolean": pa.bool_(), "binary": pa.binary(), "timestamp": pa.timestamp("us", "UTC")}
        return plain.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()

    def facts(self) -> dict[str, Any]:
        """This shape as plain data, to come back from a worker as JSON."""
        return {
            "kinds": sorted(self.kinds),
            "digits": [self.largest, self.least, self.whole, self.scale],
            "fields": {name: shape.facts() for name, shape in self.fields.items()},
            "of": self.of.facts() if self.of else None,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Shape:
        """The shape that ``facts`` wrote."""
        largest, least, whole, scale = facts["digits"]
        fields = {name: cls.of_facts(field) for name, field in facts["fields"].items()}
        of = cls.of_facts(facts["of"]) if facts["of"] else None
        return cls(set(facts["kinds"]), largest, least, whole, scale, fields, of)


def unique(names: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """A column name for each of ``names``: no two alike even where case does not count, none blank or reserved.

    >>> unique(["Total", "total", "", "_position"], reserved=["_position"])
    {'Total': 'Total', 'total': 'total_2', '': 'unnamed', '_position': '_position_2'}
    """
    taken = {name.lower() for name in reserved}
    columns: dict[str, str] = {}
    for name in names:
        plain = column = name or "unnamed"
        number = 1
        while column.lower() in taken:
            number += 1
            column = f"{plain}_{number}"
        taken.add(column.lower())
        columns[name] = column
    return columns


def converter(kind: pa.DataType, shape: Shape | None) -> Convert | None:
    """What makes a value fit ``kind``; None where Arrow takes the values of ``shape`` as they are.

    Without a shape every value is converted. A value that cannot be is left as it is, for Arrow to refuse.
    """
    import pyarrow.types as pt

    if pt.is_struct(kind):
        return _struct_converter(kind, shape)
    if pt.is_list(kind):
        of = converter(kind.value_type, shape.of if shape else None)
        return None if of is None else lambda value: _elements(value, of)
    if pt.is_string(kind):
        return None if shape and shape.kinds <= {"string", "null"} else _text_or_none
    if pt.is_floating(kind):
        return None if shape and shape.kinds <= {"double", "int", "null"} else _double
    if pt.is_integer(kind) or pt.is_decimal(kind):
        taken = {"int", "decimal", "null"} if pt.is_decimal(kind) else {"int", "null"}
        return None if shape and shape.kinds <= taken else _number
    return None


def text(value: Any) -> str:
    """A value as text: whole numbers without a point, times as ISO 8601, bytes as base64, documents and lists as JSON.

    >>> from datetime import UTC
    >>> text({"at": datetime(2024, 5, 1, tzinfo=UTC), "n": [1, Decimal("2.50")]})
    '{"at": "2024-05-01T00:00:00+00:00", "n": [1, 2.50]}'
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= EXACT_IN_DOUBLE else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) <= MOST_DIGITS else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(str(name))}: {_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_json, value)) + "]"
    return str(value)


def _json(value: Any) -> str:
    if value is None:
        return "null"
    is_number = isinstance(value, (int, float, Decimal)) and math.isfinite(value)
    return text(value) if is_number or isinstance(value, (Mapping, list, tuple)) else _quoted(text(value))


def _quoted(written: str) -> str:
    return json.dumps(written, ensure_ascii=False)


def _kind(value: Any) -> str:
    """The kind of a value of a subclass; what no column holds counts as nothing here, and is told in its row."""
    return next((kind for known, kind in KINDS.items() if isinstance(value, known)), "null")


def _struct_converter(kind: pa.StructType, shape: Shape | None) -> Convert | None:
    fields = [kind.field(place) for place in range(kind.num_fields)]
    sources = list(shape.fields) if shape else [field.name for field in fields]
    children = [shape.fields[name] if shape else None for name in sources]
    converters = [converter(field.type, child) for field, child in zip(fields, children, strict=True)]
    if not any(converters) and shape and sources == [field.name for field in fields]:
        return None
    read = [(field.name, name, convert) for field, name, convert in zip(fields, sources, converters, strict=True)]

    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        values = ((column, value.get(name), convert) for column, name, convert in read)
        return {column: convert(inner) if convert and inner is not None else inner for column, inner, convert in values}

    return convert


def _elements(value: Any, of: Convert) -> Any:
    return (
        [None if element is None else of(element) for element in value] if isinstance(value, (list, tuple)) else value
    )


def _text_or_none(value: Any) -> Any:
    return value if value is None or isinstance(value, Unfit) else text(value)


def _double(value: Any) -> Any:
    return float(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def _number(value: Any) -> Any:
    """A number for an exact column; a truth value is left to be refused, as text is."""
    if isinstance(value, bool):
        return text(value)
    whole = isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value)
    return int(value) if whole else value
