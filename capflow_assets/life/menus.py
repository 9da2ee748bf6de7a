"""The columns that a model may choose among: those that its file names, or those of all blocks of its subjects.

A customer's TOML widens the menu (``menu = "all"``); the choice of columns then picks from it at each training
(``learning.selection``), and scoring computes the blocks of chosen columns only. Which recursive features are kept is
decided anew each night, so that a model reads them where all of them are (``features/recursive_candidates``): a
champion's columns have to stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import AS_OF, ModelSpec, TableSpec
from capflow_assets.contract import Column

if TYPE_CHECKING:
    from capflow_assets.blueprint.stages import Stages
    from capflow_assets.customers.customer import Customer
    from capflow_assets.stores.lake import Lake
    from capflow_assets.synthesis.features import Feature

ALL = "all"
NUMBERS = ("int", "bigint", "double", "float", "boolean")
RECURSIVE, VERDICTS = "features/recursive_candidates", "features/recursive_columns"
Words = dict[str, dict[str, str]]


def on_menu(spec: ModelSpec, stages: Stages, customer: Customer, lake: Lake | None = None) -> ModelSpec:
    """The model as the customer is to have it: as its file says, or with all columns that may be joined.

    Of a ``lake`` the recursive features are among them that its newest verdicts keep.
    """
    asked: Mapping[str, Any] = customer.models.get(spec.name, {})
    if asked.get("menu") != ALL:
        return spec
    kept = () if lake is None else _kept_recursive(lake, customer.name)
    return _widened(spec, stages, customer, kept)


def offering(spec: ModelSpec, stages: Stages, customer: Customer, columns: Collection[str]) -> ModelSpec:
    """The model with a menu that has ``columns``: a champion of a wide menu answers on after the TOML narrowed it, and
    with recursive features that would not be kept today.
    """
    return spec if set(columns) <= set(spec.model.columns) else _widened(spec, stages, customer, columns)


def _widened(spec: ModelSpec, stages: Stages, customer: Customer, recursive: Collection[str]) -> ModelSpec:
    if spec.model.widened is None:
        return spec
    words = further_words(spec, stages, customer)
    return replace(spec, model=spec.model.widened(words | _recursive_words(spec, stages, customer, recursive, words)))


def further_words(spec: ModelSpec, stages: Stages, customer: Customer) -> Words:
    """By block the columns that the model does not name, each with a text that has a place for its value.

    Numbers that are no personal data, of blocks that the customer can have, with one row per subject or per a part of
    its key. Of two columns of one name the first is taken.
    """
    taken, absent = {*spec.model.columns, *spec.model.subject.key}, stages.absent(customer.tables)
    words: Words = {}
    for block in _blocks(spec, stages):
        columns = [column for column in block.table.columns if _may_read(column) and column.name not in taken]
        if columns and block.key not in absent:
            words[block.key] = {column.name: _text(column) for column in columns}
            taken.update(words[block.key])
    return words


def _recursive_words(
    spec: ModelSpec, stages: Stages, customer: Customer, columns: Collection[str], words: Words
) -> Words:
    """Those of ``columns`` that are recursive features, each with its formula; what a name stands for never changes."""
    from capflow_assets.synthesis.features import feature_of

    block = stages.tables.get(RECURSIVE)
    if block is None or block.key in stages.absent(customer.tables):
        return {}
    if not set(block.table.key) - {AS_OF} <= set(spec.model.subject.key):
        return {}
    taken = {*spec.model.columns, *spec.model.subject.key, *(name for known in words.values() for name in known)}
    features = {name: feature_of(name) for name in columns if name not in taken}
    texts = {name: _formula(feature) for name, feature in features.items() if feature is not None}
    return {RECURSIVE: texts} if texts else {}


def _formula(feature: Feature) -> str:
    """A recursive feature in words, with a place for its value."""
    window = f" of {feature.window}" if feature.window else ""
    return f"{feature.variable.formula}{window}: {{:,.2f}}"


def _kept_recursive(lake: Lake, customer: str) -> tuple[str, ...]:
    """The recursive features that the newest verdicts keep; none where there are no verdicts yet."""
    if not lake.exists(customer, VERDICTS):
        return ()
    rows = lake.table(customer, VERDICTS).filter("is_kept").select("column", AS_OF).collect()
    newest = max((row[AS_OF] for row in rows), default=None)
    return tuple(sorted(row["column"] for row in rows if row[AS_OF] == newest))


def _blocks(spec: ModelSpec, stages: Stages) -> Iterator[TableSpec]:
    for block in stages.tables.values():
        key, table = set(block.table.key) - {AS_OF}, block.table
        is_of_subjects = bool(key) and key <= set(spec.model.subject.key)
        if block.stage == "features" and is_of_subjects and not table.open and not table.intermediate:
            yield block


def _may_read(column: Column) -> bool:
    return column.type in NUMBERS and not column.personal and column.name != AS_OF


def _text(column: Column) -> str:
    """The column in words, with a place for its value.

    >>> _text(Column("items_avg", "double", "Items per bill, on average."))
    'Items per bill, on average: {:,.2f}'
    """
    words = column.description.split(". ")[0].rstrip(".").replace("{", "{{").replace("}", "}}")
    return f"{words}: {{:,.2f}}"
