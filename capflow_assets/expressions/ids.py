"""The normal form of an id: what joins tables is the same text however a program or a person has written it.

An id has no blanks around it, and is composed (Unicode's NFC, https://unicode.org/reports/tr15/). Blank is what nobody
sees: Unicode's white space, control characters, and marks of no width (a byte order mark, a zero-width space, marks of
a text's direction). What stands inside of an id stays, so do its case and its leading zeros.

Engines have no function that composes. They take the blanks off, and mark the few ids that may need composing
(``may_be_uncomposed``); landing then composes those rows in Python (``composed``), where Python meets an id it does
both at once (``normal``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

_BLANK_RANGES = (
    (0x00, 0x20),
    (0x7F, 0xA0),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
BLANKS = "".join(chr(code) for first, last in _BLANK_RANGES for code in range(first, last + 1))
# 64 hexadecimal digits, as of SHA-256.
PSEUDONYM = re.compile("[0-9a-f]{64}")
# Marks rows on their way to a table, and is no column of that.
UNCOMPOSED = "_uncomposed"
# Marks, jamo, and whatever else NFC may change or compose with what stands before it; some of it, it leaves alone.
MAY_BE_UNCOMPOSED = (
    r"[\p{M}\x{374}\x{37E}\x{387}\x{958}-\x{95F}\x{9DC}-\x{9DF}\x{A33}-\x{A5E}\x{B5C}\x{B5D}\x{F43}-\x{FB9}"
    r"\x{1100}-\x{11FF}\x{1F71}-\x{1FFD}\x{2000}\x{2001}\x{2126}\x{212A}\x{212B}\x{2329}\x{232A}\x{2ADC}"
    r"\x{F900}-\x{FAFF}\x{FB1D}-\x{FB4E}\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1F}]"
)


def normal(text: str | None) -> str:
    """The normal form of an id; empty where it is blank.

    >>> [normal(text) for text in ("U1", "U1\\t", "\\u3000U1\\xa0", "\\ufeffU1\\u200b", " 007 a ", "-\\u200b")]
    ['U1', 'U1', 'U1', 'U1', '007 a', '-']
    >>> normal("Rene\\u0301") == normal("Ren\\xe9"), normal(" \\xa0"), normal(None)
    (True, '', '')
    """
    return normalize("NFC", text.strip(BLANKS)) if text else ""


def without_blanks(text: Expression) -> Expression:
    """Text without the blanks around it."""
    from pyspark.sql import functions as F

    return F.btrim(text, F.lit(BLANKS))


def identifier(text: Expression | str) -> Expression:
    """An id without blanks around it, null where nothing is left; composed it is when it lands."""
    from pyspark.sql import functions as F

    return F.nullif(without_blanks(F.col(text) if isinstance(text, str) else text), F.lit(""))


def identifiers(*names: str) -> list[Expression]:
    """The id columns as ``identifier`` makes them, each by its own name."""
    return [identifier(name).alias(name) for name in names]


def is_pseudonym(text: str) -> bool:
    """Whether a text looks like the hash that stands for a person's id where a customer has ids hashed."""
    return bool(PSEUDONYM.fullmatch(text))


def marked(frame: DataFrame, names: Collection[str]) -> DataFrame:
    """The rows with ``UNCOMPOSED``, true where an id may need composing and else null; as they are without ids."""
    from pyspark.sql import functions as F

    return frame.withColumn(UNCOMPOSED, F.when(may_be_uncomposed(names), F.lit(True))) if names else frame


def may_be_uncomposed(names: Iterable[str]) -> Expression:
    """Whether any of the id columns may need composing; costs nearly nothing where they are of ASCII."""
    from pyspark.sql import functions as F

    def may_be(name: str) -> Expression:
        return (F.octet_length(name) != F.char_length(name)) & F.col(name).rlike(MAY_BE_UNCOMPOSED)

    return reduce(or_, (F.coalesce(may_be(name), F.lit(False)) for name in names), F.lit(False))


def composed(frame: DataFrame, names: Collection[str]) -> DataFrame:
    """The rows with the id columns in their normal form."""

    # Engines run this in processes of their own, where this package need not be installed.
    blanks = BLANKS

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from unicodedata import normalize

        import pyarrow as pa

        for batch in batches:
            arrays = list(batch.columns)
            for name in names:
                texts = batch.column(name).to_pylist()
                changed = [text and (normalize("NFC", text.strip(blanks)) or None) for text in texts]
                arrays[batch.schema.get_field_index(name)] = pa.array(changed, batch.schema.field(name).type)
            yield pa.record_batch(arrays, schema=batch.schema)

    return frame.mapInArrow(run, frame.schema)
