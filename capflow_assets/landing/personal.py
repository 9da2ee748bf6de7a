"""Which columns name a person, and what stands in their place: a hash that only this customer's key can make.

Equal values stay equal within a customer, so that a column still groups and joins, and differ between customers. What
joins tables is not hashed, but for ``user_id`` where the TOML says so, in all tables alike. Pure: the key is handed in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from capflow_assets.contract import Table
from capflow_assets.expressions.ids import normal
from capflow_assets.expressions.nobody import may_mean_nobody
from capflow_assets.landing.personal_names import is_personal_name

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

OWNER = "user_id"
UNFIT = "the row "


def is_of_people(table: Table) -> bool:
    """Whether each row of a table is about one user: what it names is the user's, not a store's or an article's."""
    return any(column.name == OWNER and column.required for column in table.columns)


def is_identifier(table: Table, column: str) -> bool:
    """Whether a column joins tables, so that its values have to stay as they are."""
    return column in table.key or column.endswith("_id")


def hashed_columns(
    table: Table, mapping: Collection[str], personal: Collection[str] = (), plain: Collection[str] = ()
) -> tuple[str, ...]:
    """The mapped columns that are hashed: said to be ``personal``, declared or called so; not the ``plain`` ones."""
    declared = {column.name: column for column in table.columns}

    def is_hashed(name: str) -> bool:
        if name in personal:
            return True
        if name in plain or is_identifier(table, name):
            return False
        if name in declared:
            return declared[name].personal and declared[name].type == "string"
        return is_of_people(table) and is_personal_name(name)

    return tuple(name for name in mapping if is_hashed(name))


def pseudonym(text: str, key: bytes) -> str:
    """The HMAC-SHA256 of a text, as 64 hexadecimal digits; of an e-mail address in small letters, without blanks.

    >>> pseudonym(" Ann@Example.com", b"k") == pseudonym("ann@example.com", b"k")
    True
    """
    said = text.strip().lower() if "@" in text else text
    return hmac.digest(key, said.encode(), hashlib.sha256).hex()


def user_pseudonym(user: str, key: bytes) -> str:
    """What stands for a user in the lake where ``user_id`` is hashed: the hash of the id in its normal form.

    A word that means nobody stays: it names no person, and behind a hash no check could tell it.

    >>> user_pseudonym(" U1 ", b"k") == pseudonym("U1", b"k"), user_pseudonym("N/A ", b"k")
    (True, 'N/A')
    """
    return user if may_mean_nobody(user := normal(user)) else pseudonym(user, key)


def pseudonymized(frame: DataFrame, columns: Collection[str], source_columns: Collection[str], key: bytes) -> DataFrame:
    """A conformed frame with the hash in the place of each value of ``columns``; null stays null.

    In the source row of a rejected row the values of ``source_columns`` are hashed, all of them where the source itself
    complains of the row: its values may stand in each other's places. Where ``user_id`` is hashed, the row of a user
    says so of itself, so that it can be told whose it is. The key travels inside of the function, not as a
    part of the query that engines show.
    """
    from capflow_assets.landing import REASON, SOURCE_ROW

    hidden = frozenset(source_columns)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _hashed(batch, columns, key, REASON, SOURCE_ROW, hidden)

    return frame.mapInArrow(run, frame.schema)


def _hashed(
    batch: pa.RecordBatch, columns: Collection[str], key: bytes, reason: str, row: str, hidden: Collection[str]
) -> pa.RecordBatch:
    import pyarrow as pa

    told = zip(batch.column(reason).to_pylist(), batch.column(row).to_pylist(), strict=True)
    replaced = {}
    for name in columns:
        hashed = user_pseudonym if name == OWNER else pseudonym
        replaced[name] = [text if text is None else hashed(text, key) for text in batch.column(name).to_pylist()]
    owners = replaced.get(OWNER) or [None] * batch.num_rows
    replaced[row] = [
        text and _row(text, key, None if why.startswith(UNFIT) else hidden, owner)
        for (why, text), owner in zip(told, owners, strict=True)
    ]
    arrays = [
        pa.array(replaced[field.name], field.type) if field.name in replaced else batch.column(place)
        for place, field in enumerate(batch.schema)
    ]
    return pa.record_batch(arrays, schema=batch.schema)


def _row(text: str, key: bytes, hidden: Collection[str] | None, owner: str | None) -> str:
    row: Mapping[str, str | None] = json.loads(text)
    return json.dumps({
        name: pseudonym(value, key) if value is not None and (hidden is None or name in hidden) else value
        for name, value in row.items()
    } | ({OWNER: owner} if owner else {}), ensure_ascii=False)  # fmt: skip
