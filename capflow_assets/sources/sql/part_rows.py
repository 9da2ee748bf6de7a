"""The rows of one part of a SQL database as Arrow batches, with bounded memory: what a worker does.

PostgreSQL's come as binary COPY through ADBC; every other database's through its own driver's cursor on the server. A
value that its column's type cannot hold is null, and the row says so in ``_corrupt_record``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

from capflow_assets.sources.reading.arrow_frames import CORRUPT, POSITION, UNFIT_COLUMNS
from capflow_assets.sources.reading.document_batches import Complaint, texts_of, unfit_columns
from capflow_assets.sources.sql import database_access
from capflow_assets.sources.sql.relations import SqlColumn

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 2 << 20
SHOWN_CHARACTERS = 60
FIRST_DAY, LAST_DAY = dt.date(1, 1, 1), dt.date(9999, 12, 31)
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  (a count of microseconds, whatever the zone)
MICROSECOND = dt.timedelta(microseconds=1)
DIGITS = Context(prec=60, rounding=ROUND_HALF_EVEN)
Complaints = dict[int, list[Complaint]]


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a worker needs to read a part; it holds names of secrets, never secrets.

    ``position`` gives the columns (by place) whose values tell where a row stands, after ``label``. A ``hidden`` last
    column serves that alone and is no column of the frame.
    """

    location: str
    access: database_access.Access
    columns: tuple[SqlColumn, ...]
    rows_at_once: int
    label: str
    position: tuple[int, ...] = ()
    hidden: bool = False
    snapshot: str | None = None

    @property
    def shown(self) -> tuple[SqlColumn, ...]:
        """The columns of the frame."""
        return self.columns[:-1] if self.hidden else self.columns

    def schema(self) -> pa.Schema:
        """The columns as they arrive, the complaint and the position."""
        import pyarrow as pa

        own = [(UNFIT_COLUMNS, pa.list_(pa.string())), (CORRUPT, pa.string()), (POSITION, pa.string())]
        return pa.schema([*((column.name, column.type) for column in self.shown), *own])


def batches(reading: Reading, statement: str) -> Iterator[pa.RecordBatch]:
    """The rows that ``statement`` gives, in the schema of ``reading``.

    Raises:
        SourceError: the database cannot be reached or does not answer.
    """
    streamed = _streamed if reading.location.startswith("postgresql") else _fetched
    for arrays, complaints in streamed(reading, statement):
        yield _finished(reading, arrays, complaints)


def _streamed(reading: Reading, statement: str) -> Iterator[tuple[list[pa.Array], Complaints]]:
    from adbc_driver_postgresql import StatementOptions, dbapi

    address = database_access.stream_address(reading.location, reading.access)
    with (
        database_access.in_our_words(reading.location, reading.access),
        dbapi.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        if reading.snapshot:
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{reading.snapshot}'")
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)})
        cursor.execute(statement)
        for batch in cursor.fetch_record_batch():
            complaints: Complaints = {}
            yield (
                [
                    _as_declared(array, column, complaints)
                    for array, column in zip(batch.columns, reading.columns, strict=True)
                ],
                complaints,
            )


def _as_declared(array: pa.Array, column: SqlColumn, complaints: Complaints) -> pa.Array:
    """What PostgreSQL sent as the column's type. Infinity and years beyond 1 to 9999 are no times that Spark knows."""
    import pyarrow as pa

    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    if pa.types.is_decimal(column.type):
        try:
            return array.cast(column.type)
        except pa.ArrowInvalid:
            return _converted(array.to_pylist(), column, complaints)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _within_years(array)
    return array if array.type == column.type else array.cast(column.type)


def _within_years(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(array.type):
        counts = array.view(pa.int32())
        least, most = ((day - EPOCH.date()).days for day in (FIRST_DAY, LAST_DAY))
    else:
        counts = array.view(pa.int64())
        bounds = (dt.datetime.combine(day, time) for day, time in ((FIRST_DAY, dt.time.min), (LAST_DAY, dt.time.max)))
        least, most = ((bound - EPOCH) // MICROSECOND for bound in bounds)
    is_known = pc.and_(pc.greater_equal(counts, least), pc.less_equal(counts, most))
    return array if pc.all(is_known, min_count=0).as_py() else pc.if_else(is_known, array, None)


def _fetched(reading: Reading, statement: str) -> Iterator[tuple[list[pa.Array], Complaints]]:
    with database_access.opened(reading.location, reading.access) as connection:
        how = {"stream_results": True, "no_parameters": True, "max_row_buffer": reading.rows_at_once}
        result = connection.exec_driver_sql(statement, None, how)
        while rows := result.fetchmany(reading.rows_at_once):
            complaints: Complaints = {}
            values = zip(*rows, strict=True)
            yield (
                [_converted(cells, column, complaints) for cells, column in zip(values, reading.columns, strict=True)],
                complaints,
            )


def _converted(values: Sequence[Any], column: SqlColumn, complaints: Complaints) -> pa.Array:
    """Python's values as the column's type, one by one where they do not fit at once."""
    import pyarrow as pa

    try:
        return pa.array(values, column.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        convert = _converter(column.type)
    converted = []
    for place, value in enumerate(values):
        try:
            fit = None if value is None else convert(value)
            pa.scalar(fit, column.type)
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError):
            fit = None
            said = f"{column.name}: {str(value)[:SHOWN_CHARACTERS]!r} is no {column.type}"
            complaints.setdefault(place, []).append((column.name, said))
        converted.append(fit)
    return pa.array(converted, column.type)


def _converter(kind: pa.DataType) -> Callable[[Any], Any]:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return _text
    if pa.types.is_decimal(kind):
        digits = Decimal(1).scaleb(-kind.scale)
        return lambda value: Decimal(str(value)).quantize(digits, context=DIGITS)
    if pa.types.is_timestamp(kind):
        return _moment
    if pa.types.is_date(kind):
        return _day
    if pa.types.is_boolean(kind):
        return lambda value: {0: False, 1: True}.get(value, value)
    if pa.types.is_integer(kind):
        return lambda value: int.from_bytes(value, "big") if isinstance(value, bytes) else _whole(value)
    return lambda value: value.encode() if pa.types.is_binary(kind) and isinstance(value, str) else value


def _whole(value: Any) -> int:
    if (whole := int(value)) != (float(value) if isinstance(value, str) else value):
        raise ValueError("a number with a fraction")
    return whole


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dt.timedelta):
        return _clock(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _clock(value: dt.timedelta) -> str:
    """A time of day, or a span of up to 838 hours as MySQL has them.

    >>> _clock(dt.timedelta(hours=-30, minutes=5))
    '-29:55:00'
    """
    sign, left = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds, fraction = divmod(left, dt.timedelta(seconds=1))
    text = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction.microseconds:06}" if fraction else text


def _moment(value: Any) -> dt.datetime | None:
    if isinstance(value, str):
        # MySQL's way to say that there is none.
        return None if value.startswith("0000-00-00") else dt.datetime.fromisoformat(value)
    return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time.min)


def _day(value: Any) -> dt.date | None:
    if isinstance(value, str):
        return None if value.startswith("0000-00-00") else dt.date.fromisoformat(value[:10])
    return value.date() if isinstance(value, dt.datetime) else value


def _finished(reading: Reading, arrays: list[pa.Array], complaints: Complaints) -> pa.RecordBatch:
    import pyarrow as pa

    count = len(arrays[0])
    unfit, complaint_texts = pa.nulls(count, pa.list_(pa.string())), pa.nulls(count, pa.string())
    if complaints:
        rows = [complaints.get(place, ()) for place in range(count)]
        unfit, complaint_texts = (
            pa.array(unfit_columns(rows), pa.list_(pa.string())),
            pa.array(texts_of(rows), pa.string()),
        )
    own = [unfit, complaint_texts, _positions(reading, arrays, count)]
    return pa.RecordBatch.from_arrays([*arrays[: len(reading.shown)], *own], schema=reading.schema())


def _positions(reading: Reading, arrays: list[pa.Array], count: int) -> pa.Array:
    """Where each row stands: ``public.bills id=42``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not reading.position:
        return pa.nulls(count, pa.string())
    parts: list[Any] = [reading.label]
    for place in reading.position:
        array = arrays[place]
        text = (
            pa.array([value and value.hex() for value in array.to_pylist()])
            if pa.types.is_binary(array.type)
            else array
        )
        parts += [f" {reading.columns[place].source}=", text.cast(pa.string())]
    return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="null")
