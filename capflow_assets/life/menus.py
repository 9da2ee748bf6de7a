"""The columns that a model may choose among: those that its file names, or those of all blocks of its subjects.

A customer's TOML widens the menu (``menu = "all"``); the choice of columns then picks from it at each training
(``learning.selection``), and scoring computes the blocks of chosen columns only. Recursive features are no part of it:
which of them there are is decided anew each night, and a champion's columns have to stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import AS_OF, ModelSpec, TableSpec
from capflow_assets.contract import Column

if TYPE_CHECKING:
    from capflow_assets.blueprint.stages import Stages
    from capflow_assets.customers.customer import Customer

ALL = "all"
NUMBERS = ("int", "bigint", "double", "float", "boolean")


def on_menu(spec: ModelSpec, stages: Stages, customer: Customer) -> ModelSpec:
    """The model as the customer is to have it: as its file says, or with all columns that may be joined."""
    asked: Mapping[str, Any] = customer.models.get(spec.name, {})
    if asked.get("menu") != ALL:
        return spec
    return _widened(spec, stages, customer)


def offering(spec: ModelSpec, stages: Stages, customer: Customer, columns: Iterable[str]) -> ModelSpec:
    """The model with a menu that has ``columns``: a champion of a wide menu answers on after the TOML narrowed it."""
    return spec if set(columns) <= set(spec.model.columns) else _widened(spec, stages, customer)


def _widened(spec: ModelSpec, stages: Stages, customer: Customer) -> ModelSpec:
    if spec.model.widened is None:
        return spec
    return replace(spec, model=spec.model.widened(further_words(spec, stages, customer)))


def further_words(spec: ModelSpec, stages: Stages, customer: Customer) -> dict[str, dict[str, str]]:
    """By block the columns that the model does not name, each with a text that has a place for its value.

    Numbers that are no personal data, of blocks that the customer can have, with one row per subject or per a part of
    its key. Of two columns of one name the first is taken.
    """
    taken, absent = {*spec.model.columns, *spec.model.subject.key}, stages.absent(customer.tables)
    words: dict[str, dict[str, str]] = {}
    for block in _blocks(spec, stages):
        columns = [column for column in block.table.columns if _may_read(column) and column.name not in taken]
        if columns and block.key not in absent:
            words[block.key] = {column.name: _text(column) for column in columns}
            taken.update(words[block.key])
    return words


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
