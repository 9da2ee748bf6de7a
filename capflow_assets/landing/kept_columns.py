"""Columns that are kept as they come and hold persons all the same: by the name they have in the source, or by content.

A mapping may give a plain name to anything: ``contact = "Full Name"``, ``user_id = "E-Mail"``. The values of columns
that a table does not declare are counted with the other sums (``personal_values``); of those that it declares, which
most customers map, a sample is looked at. Numbers that only resemble personal ones are left alone: an id may be of
digits, groups and zeros. Pure: the sample is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, Table
from capflow_assets.landing import personal, personal_values
from capflow_assets.landing.personal_names import is_personal_name, personal_source

if TYPE_CHECKING:
    import pyarrow as pa

# Of ids only what no id is written like.
PHONE_OF_ID = r"^[+][0-9][0-9 ()/-]{6,16}[0-9]$"
LEAST_VALUES = 3


def declared_texts(
    table: Table, mapping: Mapping[str, str], hashed: Collection[str], plain: Collection[str]
) -> tuple[str, ...]:
    """The mapped columns of text that a table declares and that are not meant to hold who one is."""
    texts = {column.name for column in table.columns if column.type == "string" and not column.one_of}
    return tuple(name for name in mapping if name in texts and name not in hashed and name not in plain)


def finding(
    table: Table,
    mapping: Mapping[str, str],
    hashed: Collection[str],
    plain: Collection[str],
    counted: Mapping[str, Any],
    sample_of: Callable[[Sequence[str]], pa.Table | None],
) -> Finding:
    """Whether a column that is kept as it comes looks personal: by its counts, by its name, or in a sample."""
    texts = declared_texts(table, mapping, hashed, plain)
    seen = looked_at(table, mapping, hashed, plain, sample_of(texts) if texts else None)
    return personal_values.finding(table, personal_values.suspects(table, mapping, hashed), counted, plain, seen)


def looked_at(
    table: Table, mapping: Mapping[str, str], hashed: Collection[str], plain: Collection[str], sample: pa.Table | None
) -> personal_values.Looked:
    """What is seen of the columns that are kept: a personal source that one comes from, and its values in a sample."""
    words: list[str] = []
    shares: dict[str, float] = {}
    declared = declared_texts(table, mapping, hashed, plain)
    for name in declared if sample is not None else ():
        kind, share = _kind(sample, name, is_id=personal.is_identifier(table, name))
        if kind:
            shares[f"{name}_{kind}_share_pct"] = round(share, 2)
            words.append(f"{name}: {share:.3g} % of a sample are {personal_values.WORDS[kind]}")
    for name, text in mapping.items():
        source = personal_source(text)
        is_told = any(word.startswith(f"{name}: ") for word in words) or is_personal_name(name)
        if not source or name in hashed or name in plain or is_told:
            continue
        if _is_of_a_user(table, name):
            words.append(f"{name}: comes from {source!r}, which is called as what is personal")
    return personal_values.Looked(shares, tuple(words))


def _is_of_a_user(table: Table, name: str) -> bool:
    """Whether a column's value is that of a user, not of a store or an article: their id, or what is said of them."""
    if name == personal.OWNER:
        return True
    names_users = any(column.name == personal.OWNER for column in table.columns)
    if name not in table.names:
        return names_users
    return personal.is_of_people(table) and not personal.is_identifier(table, name)


def _kind(sample: pa.Table, name: str, *, is_id: bool) -> tuple[str, float]:
    """What most of a column's values in a sample look like, and how many of a hundred; blank where nothing."""
    import pyarrow.compute as pc

    values = pc.utf8_trim_whitespace(sample.column(name).drop_null().unique())
    if len(values) < LEAST_VALUES:
        return "", 0.0

    def share(*patterns: str) -> float:
        matches = [pc.match_substring_regex(values, pattern) for pattern in patterns]
        both = matches[0]
        for match in matches[1:]:
            both = pc.and_(both, match)
        return 100 * float(pc.sum(both).as_py() or 0) / len(values)

    phone = (PHONE_OF_ID,) if is_id else (personal_values.PHONE, personal_values.DIGITS_OF_PHONE)
    by_kind = {"email": share(personal_values.E_MAIL), "phone": share(*phone), "iban": share(personal_values.IBAN)}
    if not is_id and by_kind["phone"]:
        by_kind["phone"] -= share(*phone, personal_values.DATE) + share(*phone, personal_values.CARD)
    kind = max(by_kind, key=lambda kind: by_kind[kind])
    return (kind, by_kind[kind]) if by_kind[kind] >= 100 * personal_values.LEAST_SHARE else ("", 0.0)
