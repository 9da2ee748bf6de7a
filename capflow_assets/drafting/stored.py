"""Samples of what is no delimited text: workbooks, JSON, Parquet, and the tables of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from capflow_assets.drafting.encodings import encoding_of
from capflow_assets.drafting.samples import Link, Sample
from capflow_assets.errors import SourceError
from capflow_assets.landing import totals
from capflow_assets.sources.excel import cell_values, workbooks
from capflow_assets.sources.excel.options import Options as ExcelOptions
from capflow_assets.sources.reading import packed_files, storage
from capflow_assets.sources.reading.arrow_frames import unique_names
from capflow_assets.sources.sql import addresses, database_access, relations

if TYPE_CHECKING:
    from sqlalchemy import Connection, Inspector

MOST_ROWS = 20_000
MOST_TABLES = 200
MOST_RECORDS = 5_000
MOST_JSON_BYTES = 8 << 20
SHOWN_CHARACTERS = 40
# Tables, partitioned and foreign ones and views, those of the usual schema first.
READABLE = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v') AND NOT c.relispartition
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND has_schema_privilege(n.oid, 'usage') AND has_table_privilege(c.oid, 'select')
    ORDER BY n.nspname <> current_schema(), c.relkind = 'v', n.nspname, c.relname
"""


def excel_samples(path: str, name: str) -> Iterator[Sample]:
    """A sample of each sheet of a workbook that holds a table."""
    workbooks.refuse_oversize(path)
    with workbooks.opened(path) as workbook:
        sheets = workbooks.sheets_of(workbook, path, "*")
        for place, sheet in enumerate(sheets):
            options: dict[str, Any] = {} if len(sheets) == 1 and not place else {"sheet": sheet.name}
            reasons: dict[str, str] = {}
            top = list(islice(cell_values.rows_of(sheet, ExcelOptions.model_validate({"header": 0}))[1], 40))
            if not top:
                continue
            width = max(_filled(row) for _, row in top)
            number = next(number for number, row in top if _filled(row) >= max(1, 0.6 * width))
            if number != top[0][0]:
                options["header_row"] = number
                reasons["header_row"] = "what stands above is no table"
            declared = ExcelOptions.model_validate(options)
            header, rows = cell_values.rows_of(sheet, declared)
            cells = [[_cell(value) for value in values] for _, values in islice(rows, 200_000)]
            while cells and width > 2 and _is_below(cells[-1]):
                options["skip_last"] = options.get("skip_last", 0) + 1
                reasons["skip_last"] = "what stands below is no row of the table"
                cells.pop()
            kept = [
                place for place, title in enumerate(header) if title or any(row[place] is not None for row in cells)
            ]
            names = unique_names(header)
            sampled = _head_middle_end(cells)
            yield Sample(
                name if len(sheets) == 1 else sheet.name, "excel", "", tuple(names[place] for place in kept),
                tuple(tuple(row[place] for place in kept) for row in sampled), options, reasons,
                rows_total=len(cells), is_whole=len(sampled) == len(cells),
            )  # fmt: skip


def parquet_samples(path: str, name: str) -> Iterator[Sample]:
    """A sample of a Parquet file, the heads of some of its groups of rows; and one of each array of objects in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with packed_files.open_stream(path) if packed_files.is_packed(path) else storage.open_file(path) as file:
        parquet = pq.ParquetFile(file)
        groups = sorted({0, parquet.num_row_groups // 2, max(parquet.num_row_groups - 1, 0)})
        batches = [
            batch for group in groups
            for batch in islice(parquet.iter_batches(MOST_ROWS // len(groups), row_groups=[group]), 1)
        ]  # fmt: skip
        total, schema = parquet.metadata.num_rows, parquet.schema_arrow
    is_whole = sum(batch.num_rows for batch in batches) == total
    if not any(pa.types.is_nested(kind) for kind in schema.types):
        rows = [row for batch in batches for row in _rows_of(batch)]
        yield Sample(name, "parquet", "", tuple(schema.names), tuple(rows), rows_total=total, is_whole=is_whole)
        return
    records = [dict(_flat(dict(zip(schema.names, row, strict=True)))) for batch in batches for row in _rows_of(batch)]
    yield _of_records(name, records, {}, total, is_whole=is_whole, source="parquet")
    yield from _of_arrays(records, {}, is_whole=is_whole, source="parquet")


def _rows_of(batch: Any) -> Iterator[tuple[Any, ...]]:
    yield from zip(*(map(_cell, column.to_pylist()) for column in batch.columns), strict=True)


def json_samples(path: str, name: str, size: int) -> Iterator[Sample]:
    """A sample of the records of a JSON file, and one of the elements of each array of objects within them."""
    with packed_files.open_stream(path) as stream:
        encoding = encoding_of([stream.read(1 << 16)])
    options: dict[str, Any] = {} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}
    text = _json_head(path, encoding)
    records_path, records = _records(text)
    if records_path:
        options["records"] = records_path
    if not records and text.strip("[]{} \t\r\n"):
        raise SourceError(
            "A JSON file has no record that can be read",
            expected="objects: one a line, or in an array",
            came=repr(text[:SHOWN_CHARACTERS]),
            where=path,
            do="it may be cut off, or still be being written; have it exported again",
        )
    flat = [dict(_flat(record)) for record in records]
    rows_total = max(len(records), round(len(records) * size / max(len(text), 1)) if len(text) < size else 0)
    is_whole = len(text) >= size
    yield _of_records(name, flat, options, rows_total, is_whole=is_whole)
    for inner in _of_arrays(flat, options, is_whole=is_whole):
        inner.options["rows"] = inner.array
        yield inner


def _of_arrays(
    flat: Sequence[Mapping[str, Any]], options: Mapping[str, Any], *, is_whole: bool, source: str = "json"
) -> Iterator[Sample]:
    """A sample of the elements of each array of objects in records, with the records' fields beside them."""
    arrays = dict.fromkeys(key for record in flat for key, value in record.items() if _is_array(value))
    for array in arrays:
        elements = [
            {**{key: value for key, value in record.items() if key != array},
             **{f"{array}.{key}": value for key, value in _flat(element)}}
            for record in flat if isinstance(record.get(array), list) for element in record[array]
        ]  # fmt: skip
        if elements:
            inner = _of_records(array, elements, options, len(elements), is_whole=is_whole, source=source)
            inner.array = array
            yield inner


def database_samples(location: str, user: str = "", password_variable: str = "") -> Iterator[Sample]:
    """A sample of each table of a database, with its foreign keys."""
    from sqlalchemy import inspect

    from capflow_assets.transfer.secrets import FromEnv

    where = addresses.admitted(location)
    access = database_access.Access(user or None, FromEnv(env=password_variable) if password_variable else None,
                                    "prefer", None, None)  # fmt: skip
    with database_access.opened(where, access) as connection:
        inspector = inspect(connection)
        for schema, table in islice(_tables_of(connection, inspector), MOST_TABLES):
            sql = relations.quoted_table(connection.dialect, schema, table)
            count = int(connection.exec_driver_sql(f"SELECT count(*) FROM {sql}").scalar() or 0)  # noqa: S608
            rows = connection.exec_driver_sql(f"SELECT * FROM {sql}").mappings()  # noqa: S608
            names = tuple(rows.keys())
            some = [tuple(_cell(value) for value in row.values()) for row in rows.fetchmany(MOST_ROWS)]
            links = tuple(
                Link(link["constrained_columns"][0], link["referred_table"], (link["referred_columns"] or [""])[0])
                for link in inspector.get_foreign_keys(table, schema=schema)
                if len(link["constrained_columns"]) == 1
            )
            key = tuple(inspector.get_pk_constraint(table, schema=schema).get("constrained_columns") or ())
            options: dict[str, Any] = {"table": ".".join(_part(part) for part in (schema, table) if part)}
            if user:
                options["user"] = user
            if password_variable:
                options["password"] = {"env": password_variable}
            yield Sample(
                table, "sql", location, relations_names(names), tuple(some), options, rows_total=count,
                is_whole=count == len(some), links=links, key=key,
            )  # fmt: skip


def _tables_of(connection: Connection, inspector: Inspector) -> Iterator[tuple[str | None, str]]:
    """The schema and the name of each table and view that may be read; partitions are of their table.

    The schema is None where it is the one that names stand in by themselves.
    """
    if connection.dialect.name != "postgresql":
        yield from ((None, name) for name in [*inspector.get_table_names(), *inspector.get_view_names()])
        return
    for schema, name in connection.exec_driver_sql(READABLE):
        yield None if schema == inspector.default_schema_name else schema, name


def _part(name: str) -> str:
    """A part of a table's name, in double quotes where it has a dot in it.

    >>> _part("orders"), _part("line.items")
    ('orders', '"line.items"')
    """
    return '"' + name.replace('"', '""') + '"' if set(name) & {".", '"'} else name


def relations_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names that the columns of a table have as a source."""
    return tuple(relations.frame_names(names))


def _is_below(row: Sequence[Any]) -> bool:
    """Whether a sheet's last row is none of the table: a note, or a sum by its word."""
    filled = [value for value in row if value is not None]
    return len(filled) <= 1 or totals.is_word(str(filled[0]))


def _filled(row: Sequence[Any]) -> int:
    return sum(value not in (None, "") for value in row)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and value != value:
        return None
    # pandas' own, of Parquet's nanoseconds, compares and prints in other ways.
    return datetime.fromisoformat(value.isoformat()[:26]) if type(value).__name__ == "Timestamp" else value


def _head_middle_end(cells: Sequence[Any]) -> Sequence[Any]:
    if len(cells) <= MOST_ROWS:
        return cells
    third = MOST_ROWS // 3
    middle = len(cells) // 2
    return [*cells[:third], *cells[middle : middle + third], *cells[-third:]]


def _json_head(path: str, encoding: str) -> str:
    with packed_files.open_stream(path) as stream:
        return stream.read(MOST_JSON_BYTES).decode(encoding, "replace").removeprefix("\ufeff").lstrip()


def _records(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Where the records are in a document, and the first of them; those of a file of lines are at its top."""
    decoder = json.JSONDecoder()
    if text.startswith("["):
        return "", list(_elements(text, 1, decoder))
    first_line = text.partition("\n")[0].strip()
    try:
        first = json.loads(first_line)
    except ValueError:
        first = None
    rest = text[len(first_line) :].strip()
    if isinstance(first, dict) and (rest or not any(map(_is_array, first.values()))):
        return "", list(_lines(text))
    return _inner_records(text, first, decoder)


def _inner_records(text: str, whole: Any, decoder: json.JSONDecoder) -> tuple[str, list[dict[str, Any]]]:
    try:
        document = whole if whole is not None else decoder.raw_decode(text)[0]
    except ValueError:  # longer than what was read: the first array of objects in it
        for key in (part.split('"')[-2] for part in text.split("[")[:-1] if part.rstrip().endswith(":")):
            start = text.index("[", text.index(f'"{key}"')) + 1
            if records := list(_elements(text, start, decoder)):
                return key, records
        return "", []
    paths = [(path, value) for path, value in _paths(document) if _is_array(value)]
    if not paths:
        return "", [document] if isinstance(document, dict) else []
    path, records = max(paths, key=lambda one: len(one[1]))
    return path, [record for record in records[:MOST_RECORDS] if isinstance(record, dict)]


def _paths(document: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items() if isinstance(document, dict) else ():
        path = f"{above}.{name}" if above else name
        yield path, value
        yield from _paths(value, path)


def _elements(text: str, start: int, decoder: json.JSONDecoder) -> Iterator[dict[str, Any]]:
    for _ in range(MOST_RECORDS):
        while start < len(text) and text[start] in " \t\r\n,":
            start += 1
        try:
            value, start = decoder.raw_decode(text, start)
        except ValueError:
            return
        if isinstance(value, dict):
            yield value


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in islice(text.splitlines(), MOST_RECORDS):
        try:
            value = json.loads(line) if line.strip() else None
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _is_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _flat(record: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        path = f"{above}.{name}" if above else name
        if isinstance(value, dict):
            yield from _flat(value, path)
        else:
            yield path, _cell(value)


def _of_records(
    name: str,
    records: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    total: int,
    *,
    is_whole: bool,
    source: str = "json",
) -> Sample:
    names = tuple(dict.fromkeys(key for record in records for key, value in record.items() if not _is_array(value)))
    names = tuple(key for key in names if not all(isinstance(record.get(key), list) for record in records))
    rows = tuple(tuple(_plain(record.get(key)) for key in names) for record in records)
    return Sample(name, source, "", names, rows, dict(options), rows_total=total, is_whole=is_whole)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value
