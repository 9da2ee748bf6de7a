"""Amounts in hundredths of a currency, as programs keep them: ``total_cents``. Pure."""

from __future__ import annotations

import re

from capflow_assets.drafting import words as w
from capflow_assets.drafting.parts import Guess, TableDraft, quoted
from capflow_assets.drafting.samples import Sample

HUNDREDTHS = frozenset(
    ("cents", "cent", "pence", "paise", "paisa", "ore", "oere", "grosze", "centimes", "centavos", "minor")
)
MONEY = ("amount", "discount", "price")
NAME = re.compile(r"`(?:[^`]|``)+`|[A-Za-z_][\w.]*")


def in_whole_units(table: TableDraft, sample: Sample, questions: list[str]) -> None:
    """Divide by 100 what a table's money is made of, where every column in it is named after hundredths and whole.

    Where only some of an amount's columns are, a person is asked.
    """
    for column in MONEY:
        guess = table.columns.get(column)
        if guess is None:
            continue
        names = [name for name in _names(str(guess.value), sample) if not w.meaning(name) & {w.QUANTITY}]
        small = [name for name in names if is_of_hundredths(sample, name)]
        if small and len(small) == len(names):
            is_plain = str(guess.value) in sample.names or NAME.fullmatch(str(guess.value))
            divided = f"{_quoted(guess.value)} / 100" if is_plain else f"({guess.value}) / 100"
            why = "; ".join(filter(None, (f"{small[0]} counts hundredths", guess.why)))
            table.columns[column] = Guess(divided, why, guess.is_unsure)
        elif small:
            questions.append(f"{sample.name}: {small[0]} counts hundredths by its name; do {' and '.join(names)} too?")


def is_of_hundredths(sample: Sample, name: str) -> bool:
    """Whether a column's name says hundredths, and all its numbers are whole."""
    column = sample.columns[name]
    return bool(HUNDREDTHS & set(w.tokens(name.split(".")[-1]))) and column.kind == "number" and column.is_whole


def _names(expression: str, sample: Sample) -> list[str]:
    if expression in sample.names:
        return [expression]
    named = [match.strip("`").replace("``", "`") for match in NAME.findall(expression)]
    return [name for name in dict.fromkeys(named) if name in sample.columns]


def _quoted(value: object) -> str:
    text = str(value)
    return text if text.startswith("`") else quoted(text)
