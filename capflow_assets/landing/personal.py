"""Which columns name a person, and what stands in their place: a hash that only this customer's key can make.

Equal values stay equal within a customer, so that a column still groups and joins, and differ between customers. What
joins tables (``user_id``) is not hashed; forgetting a user removes it. Pure: the key is handed in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from capflow_assets.contract import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

OWNER = "user_id"
UNFIT = "the row "
OF_WHOM = "(?:(?:customer|user|contact|billing|shipping|delivery|home|work|private)_?)?"
NUMBER = "(?:_?(?:number|no|nr))?"
WHAT = (
    "e_?mail(?:_?addr(?:ess)?)?",
    "mail",
    f"(?:tele|cell|mobile_?)?phone{NUMBER}",
    "tel",
    "fax",
    f"mobile{NUMBER}",
    "(?:(?:first|last|full|middle|given|family|maiden|user|nick)_?)?name",
    "(?:sur|fore)_?name",
    "address(?:_?line)?",
    "street(?:_?address)?",
    "iban",
    f"(?:credit|debit|payment)_?card{NUMBER}",
    f"passport{NUMBER}",
    "ssn",
    "ip(?:_?address)?",
)
PERSONAL_NAME = re.compile(f"{OF_WHOM}(?:{'|'.join(WHAT)})_?[0-9]?")


def is_personal_name(column: str) -> bool:
    """Whether a column of people, by its name, tells who one is or where one is reached.

    >>> names = "email", "phone_2", "last_name", "billing_address", "loyalty_tier", "city"
    >>> [name for name in names if is_personal_name(name)]
    ['email', 'phone_2', 'last_name', 'billing_address']
    """
    return bool(PERSONAL_NAME.fullmatch(column))


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


def pseudonymized(frame: DataFrame, columns: Collection[str], source_columns: Collection[str], key: bytes) -> DataFrame:
    """A conformed frame with the hash in the place of each value of ``columns``; null stays null.

    In the source row of a rejected row the values of ``source_columns`` are hashed, all of them where the source itself
    complains of the row: its values may stand in each other's places. The key travels inside of the function, not as a
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
    replaced = {row: [text and _row(text, key, None if why.startswith(UNFIT) else hidden) for why, text in told]}
    for name in columns:
        replaced[name] = [text if text is None else pseudonym(text, key) for text in batch.column(name).to_pylist()]
    arrays = [
        pa.array(replaced[field.name], field.type) if field.name in replaced else batch.column(place)
        for place, field in enumerate(batch.schema)
    ]
    return pa.record_batch(arrays, schema=batch.schema)


def _row(text: str, key: bytes, hidden: Collection[str] | None) -> str:
    row: Mapping[str, str | None] = json.loads(text)
    return json.dumps({
        name: pseudonym(value, key) if value is not None and (hidden is None or name in hidden) else value
        for name, value in row.items()
    }, ensure_ascii=False)  # fmt: skip
